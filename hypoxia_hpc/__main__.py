from hypoxia_hpc.cli import main

main()
