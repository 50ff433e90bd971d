"""`python -m posttrain`: every stage of the pipeline as a command."""

from posttrain.cli import main

if __name__ == "__main__":
    main()
