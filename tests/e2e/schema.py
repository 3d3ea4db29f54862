"""What of JSON Schema control's OpenAPI document uses. Members that a schema does not name are
wrong, so that the document cannot lag behind the answers."""

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float)}
KEYWORDS = {"type", "properties", "required", "enum", "items", "nullable", "$ref", "minimum",
            "maximum", "description", "additionalProperties"}


def resolved(schema, document):
    while "$ref" in schema:
        at = document
        for word in schema["$ref"].removeprefix("#/").split("/"):
            at = at[word]
        schema = at
    return schema


def problems(value, schema, document, where="$"):
    """What of `value` is not as `schema` says."""
    schema = resolved(schema, document)
    unknown = set(schema) - KEYWORDS
    if unknown:
        return [f"{where}: a schema with {sorted(unknown)}, which nobody checks"]
    if value is None:
        return [] if schema.get("nullable") else [f"{where}: null"]
    kind = schema.get("type")
    if not isinstance(value, TYPES[kind]) or (kind in ("integer", "number")
                                              and isinstance(value, bool)):
        return [f"{where}: {value!r} is no {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if value is not True and value is not False and isinstance(value, (int, float)):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            found.append(f"{where}: {value} is out of range")
    if kind == "array":
        for i, item in enumerate(value):
            found += problems(item, schema["items"], document, f"{where}[{i}]")
    if kind == "object" and "properties" in schema:
        found += members(value, schema, document, where)
    return found


def members(value, schema, document, where):
    found = [f"{where}: no {name}" for name in schema.get("required", []) if name not in value]
    for name, member in value.items():
        if name in schema["properties"]:
            found += problems(member, schema["properties"][name], document, f"{where}.{name}")
        else:
            found.append(f"{where}: {name} is not in the document")
    return found
