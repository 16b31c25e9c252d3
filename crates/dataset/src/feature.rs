//! Arrow's types in the words of Python's `datasets` library: what a reader gets, and what the card declares.

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value, json};

/// The feature of a type, as `Features.from_dict` takes it.
pub(crate) fn feature(kind: &DataType) -> Value {
    match kind {
        DataType::List(item) => json!({"feature": feature(item.data_type()), "_type": "List"}),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| (field.name().clone(), feature(field.data_type())));
            Value::Object(fields.collect())
        }
        scalar => json!({"dtype": scalar_name(scalar), "_type": "Value"}),
    }
}

/// The type in one line, for people: `list<struct<step: int32, ...>>`.
pub(crate) fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::List(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let field =
                |field: &std::sync::Arc<Field>| format!("{}: {}", field.name(), type_name(field.data_type()));
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar_name(scalar),
    }
}

/// The features of some columns as the YAML of a dataset card, indented by `indent` spaces.
pub(crate) fn yaml(fields: &Fields, indent: usize) -> String {
    fields.iter().map(|field| yaml_of(field, indent)).collect()
}

fn yaml_of(field: &Field, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let kind = match field.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => format!("list:\n{}", yaml(fields, indent + 2)),
            scalar => format!("list: {}\n", scalar_name(scalar)),
        },
        DataType::Struct(fields) => format!("struct:\n{}", yaml(fields, indent + 2)),
        scalar => format!("dtype: {}\n", scalar_name(scalar)),
    };
    format!("{margin}- name: {}\n{margin}  {kind}", field.name())
}

fn scalar_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) => format!("timestamp[ms, tz={zone}]"),
        other => unreachable!("no column is of type {other}"),
    }
}
