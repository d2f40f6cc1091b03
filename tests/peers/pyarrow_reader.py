"""What every series in Parquet segments comes to, read by pyarrow and with nothing of ours.

Prints {"pyarrow": version, "files": [..], "series": {id: {..}}}; the sums are exact, because Python's integers are.
"""

import json
import pathlib
import sys

import pyarrow
import pyarrow.compute
import pyarrow.parquet


def names_of(file):
    """The names by series: what is alike is said once, and numbers that follow each other are of devices that do."""
    names = {}
    for tenant, facilities in json.loads(file.metadata.metadata[b"negawatt.series"]).items():
        for facility, said in facilities.items():
            for point, unit, exponent, runs in said["points"]:
                for series, first, count in runs:
                    for number, device in zip(range(series, series + count), said["devices"][first:]):
                        names[str(number)] = {"tenant": tenant, "facility": facility, "device": device, "point": point, "unit": unit, "exponent": exponent}
    return names


def main():
    files, series = [], {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.parquet")):
        file = pyarrow.parquet.ParquetFile(path)
        table = file.read()
        table.validate(full=True)
        files.append({"rows": file.metadata.num_rows, "columns": table.column_names})
        names = names_of(file)
        for number in pyarrow.compute.unique(table["series"]).to_pylist():
            rows = table.filter(pyarrow.compute.equal(table["series"], number))
            one = series.setdefault(str(number), {"name": names[str(number)], "rows": 0, "values": 0, "sum": 0, "times": 0, "quality": 0, "seq": 0, "version": 0, "words": 0, "word_bytes": 0})
            values = [value for value in rows["raw"].to_pylist() if value is not None]
            words = [value for value in rows["words"].to_pylist() if value is not None]
            one["rows"] += rows.num_rows
            one["values"] += len(values)
            one["sum"] += sum(values)
            for column, name in [("ts_ms", "times"), ("quality", "quality"), ("seq", "seq"), ("version", "version")]:
                one[name] += sum(rows[column].to_pylist())
            one["words"] += sum(int.from_bytes(value, "big") for value in words)
            one["word_bytes"] += sum(len(value) for value in words)
    print(json.dumps({"pyarrow": pyarrow.__version__, "files": files, "series": series}))


main()
