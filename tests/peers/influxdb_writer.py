"""A client of InfluxDB 2, as its users write it: single points, compressed bodies, batches in the background, and mistakes."""

import json
import sys
from datetime import datetime, timedelta, timezone

from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

url, token = sys.argv[1:3]
begin = datetime(2026, 1, 1, tzinfo=timezone.utc)


def points(first, count):
    for at in range(first, first + count):
        time = begin + timedelta(minutes=at)
        yield Point("energy").tag("device", "main").tag("unit", "kWh").field("value", at + 0.25).time(time, WritePrecision.S)


def told(work):
    """What the client makes of a refusal."""
    try:
        work()
    except ApiException as err:
        return {"status": err.status, "code": json.loads(err.body)["code"], "message": json.loads(err.body)["message"]}
    return None


said = {}
with InfluxDBClient(url=url, token=token, org="acme") as client:
    said["ping"] = client.ping()
    with client.write_api(write_options=SYNCHRONOUS) as api:
        api.write(bucket="hall", record=list(points(0, 100)), write_precision=WritePrecision.S)
        api.write(bucket="hall", record={"measurement": "weather", "tags": {"device": "roof", "point": "temp", "unit": "degC"},
                                         "fields": {"value": -3.5}, "time": begin})
        mixed = "\n".join(["energy,device=main,unit=kWh value=1 1767312000", "energy,device=main,unit=kWh value=abc 1767312060"])
        said["malformed"] = told(lambda: api.write(bucket="hall", record=mixed, write_precision=WritePrecision.S))
        said["unusable"] = told(lambda: api.write(bucket="hall", record="energy value=1 1767312000", write_precision=WritePrecision.S))
        said["elsewhere"] = told(lambda: api.write(bucket="attic", record=list(points(0, 1)), write_precision=WritePrecision.S))
with InfluxDBClient(url=url, token="other", org="acme") as client:
    api = client.write_api(write_options=SYNCHRONOUS)
    said["stranger"] = told(lambda: api.write(bucket="hall", record=list(points(0, 1)), write_precision=WritePrecision.S))

failed = []
with InfluxDBClient(url=url, token=token, org="acme", enable_gzip=True) as client:
    options = WriteOptions(batch_size=200, flush_interval=100)
    with client.write_api(write_options=options, error_callback=lambda conf, data, err: failed.append(str(err))) as api:
        for point in points(100, 1000):
            api.write(bucket="hall", record=point, write_precision=WritePrecision.S)
said["failed"] = failed
print(json.dumps(said))
