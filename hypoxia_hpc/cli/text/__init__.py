"""What commands print: values of the rooms below as text."""
