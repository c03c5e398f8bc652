"""The program for `spark-submit`: ``spark-submit service/spark/submit.py replay --from-archive URL --on spark``.

It stands in a folder in which no name hides one of the standard library, since Spark puts that folder first.
"""

from service.cli import main

if __name__ == "__main__":
    main()
