"""Prints what is in requests of OTLP's log signal: an object for each record, a line each."""
import json
import sys

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def pairs(attributes):
    return {pair.key: plain(pair.value) for pair in attributes}


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        request = ExportLogsServiceRequest.FromString(file.read())
    for of_resource in request.resource_logs:
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                print(json.dumps({
                    "resource": pairs(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "time": record.time_unix_nano,
                    "severity": record.severity_number,
                    "event": record.event_name,
                    "body": plain(record.body),
                    "attributes": pairs(record.attributes),
                }))
