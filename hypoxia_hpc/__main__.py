from hypoxia_hpc.cli.app import main

main()
