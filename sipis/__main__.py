"""Run the command line: `python -m sipis`."""

from sipis.cli import app


def main() -> None:
    """Enter the command line."""
    app()


if __name__ == "__main__":
    main()
