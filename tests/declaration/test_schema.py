"""The JSON Schema of declarations."""

from __future__ import annotations

import json

import msgspec

from imagist.declaration import model
from imagist.declaration.model import Declaration
from imagist.declaration.schema import DIALECT, declaration_schema, field_texts, format_schema


def test_every_structure_is_closed_and_every_field_described() -> None:
    schema = declaration_schema()
    assert schema["$schema"] == DIALECT
    structs = [
        value
        for value in vars(model).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    assert set(schema["$defs"]) == {struct.__name__ for struct in structs}
    for struct in structs:
        definition = schema["$defs"][struct.__name__]
        assert definition["additionalProperties"] is False
        for entry in msgspec.structs.fields(struct):
            assert definition["properties"][entry.encode_name]["description"]
            assert field_texts()[struct.__name__][entry.name].endswith((".", ")"))


def test_keys_have_the_names_people_write() -> None:
    properties = declaration_schema()["$defs"]["Declaration"]["properties"]
    assert {"work-dir", "stop-signal", "vcs-url", "archs"} <= set(properties)
    assert len(properties) == len(msgspec.structs.fields(Declaration))


def test_numbers_may_stand_for_texts_where_people_write_them() -> None:
    definitions = declaration_schema()["$defs"]
    plain = ["string", "number", "boolean"]
    assert definitions["Declaration"]["properties"]["ports"]["items"]["type"] == plain
    environment = definitions["Declaration"]["properties"]["environment"]
    assert environment["additionalProperties"]["type"] == plain
    assert definitions["Accounts"]["properties"]["run-as"]["type"] == plain
    assert definitions["Declaration"]["properties"]["cmd"]["type"] == "string"


def test_the_bytes_are_json_and_the_same_every_time() -> None:
    assert json.loads(format_schema()) == declaration_schema()
    assert format_schema() == format_schema()
    assert b"$comment" not in format_schema()
