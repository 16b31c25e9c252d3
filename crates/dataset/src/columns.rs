//! The columns: each one line of a table with its name, its meaning and how it is made of rows.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{Field, Schema};
use trajforge_schema::{RewardComponent, Step};

use crate::message::{Message, ToolCall};
use crate::row::Waiting;

/// One column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    array: fn(&[Waiting]) -> ArrayRef,
}

/// Every column, in order. A new one is one more line here.
pub(crate) const COLUMNS: &[Column] = &[
    text("task_id", "the task: name, seed and a digest of everything it consists of", |r| {
        strings(r, |row| row.header.rollout.task.as_str())
    }),
    text("template", "the template that the task is a member of: category/name", |r| {
        strings(r, |row| row.header.rollout.template.as_str())
    }),
    text("template_version", "the template's version", |r| int32(r, |row| row.header.rollout.version)),
    text("seed", "which member of the template's family", |r| int64(r, |row| row.header.rollout.seed.0)),
    text("cluster", "tasks of one cluster share their answer; no cluster is in two splits", |r| {
        strings(r, |row| &row.header.cluster)
    }),
    text("category", "what kind of work it is", |r| strings(r, |row| &row.header.category)),
    text("difficulty", "easy, medium, hard or expert, for a capable person", |r| {
        strings(r, |row| row.header.difficulty.as_str())
    }),
    text("languages", "programming languages that have to be read or written", |r| {
        string_lists(r, |row| &row.header.languages)
    }),
    text("skills", "what it takes", |r| string_lists(r, |row| &row.header.skills)),
    text("task_instruction", "what the agent was asked for", |r| strings(r, |row| &row.header.instruction)),
    text("llm_model", "who acted: a model's name, or `oracle` for a template's own solution", |r| {
        strings(r, |row| row.header.llm_model())
    }),
    text("scaffold", "what made an agent of the model", |r| strings(r, |row| &row.header.rollout.scaffold)),
    text("scaffold_version", "its version and a digest of its prompts", |r| {
        strings(r, |row| &row.header.scaffold_version)
    }),
    text("provenance", "model, oracle, simulated or control", |r| {
        strings(r, |row| row.header.provenance.as_str())
    }),
    text("attempt", "which attempt of the same model with the same scaffold, from 1", |r| {
        int32(r, |row| row.header.rollout.attempt)
    }),
    text("run", "the run that it was made in", |r| strings(r, |row| row.header.run.as_str())),
    text("rollout_id", "unique within the run", |r| strings(r, |row| row.header.rollout.id.as_str())),
    text("image", "the container image, with its content tag", |r| strings(r, |row| &row.header.image)),
    text("trajectory", "the steps: state before, action, observation, reward, reasoning", trajectories),
    text("messages", "the same as a chat", messages),
    text("tools", "the tools' schemas, as JSON text", |r| strings(r, |row| &row.tools)),
    text("num_steps", "how many steps there are", |r| int32(r, |row| saturated(row.steps.len()))),
    text("final_result", "success, partial or failure, as the hidden checks found", |r| {
        strings(r, |row| row.summary.outcome.as_str())
    }),
    text("ending", "submitted, stopped, limit_reached, cancelled or failed", |r| {
        strings(r, |row| row.summary.ending.as_str())
    }),
    text("total_reward", "in [0, 1]; the sum of the steps' rewards", |r| {
        float64(r, |row| row.summary.reward.total)
    }),
    text("reward_components", "each hidden check and milestone", reward_components),
    text("execution_time_seconds", "from the sandbox being ready to the last observation", |r| {
        float64(r, |row| row.summary.execution_seconds)
    }),
    text("total_tokens", "read and written by the model", |r| int64(r, |row| row.summary.usage.total().0)),
    text("input_tokens", "read, cached ones included", |r| int64(r, |row| row.summary.usage.input.0)),
    text("output_tokens", "written, reasoning included", |r| int64(r, |row| row.summary.usage.output.0)),
    text("cached_tokens", "of those read, from the provider's cache", |r| {
        int64(r, |row| row.summary.usage.cached_input.0)
    }),
    text("cost_usd", "US dollars; null where a price is unknown", |r| {
        let cost = |row: &Waiting| row.summary.cost.map(trajforge_schema::MicroDollars::as_dollars);
        Arc::new(r.iter().map(cost).collect::<Float64Array>())
    }),
    text("started_at", "when the sandbox was ready", |r| {
        let started = |row: &Waiting| Some(i64::try_from(row.header.started.0).unwrap_or(i64::MAX));
        let array = r.iter().map(started).collect::<TimestampMillisecondArray>();
        Arc::new(array.with_timezone("UTC"))
    }),
];

const fn text(name: &'static str, about: &'static str, array: fn(&[Waiting]) -> ArrayRef) -> Column {
    Column { name, about, array }
}

/// The schema that every file has.
pub(crate) fn schema() -> Arc<Schema> {
    let field = |column: &Column| Field::new(column.name, (column.array)(&[]).data_type().clone(), true);
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
}

/// Some rows as columns.
pub(crate) fn batch(rows: &[Waiting]) -> RecordBatch {
    let arrays = COLUMNS.iter().map(|column| (column.array)(rows)).collect();
    RecordBatch::try_new(schema(), arrays).expect("each column has one value per row and its own type")
}

fn trajectories(rows: &[Waiting]) -> ArrayRef {
    let steps: Vec<&Step> = rows.iter().flat_map(|row| &row.steps).collect();
    let state = structs(vec![
        ("cwd", strings(&steps, |step| &step.state.cwd)),
        ("files_changed", strings(&steps, |step| json(&step.state.files.changed))),
        ("files_removed", string_lists(&steps, |step| &step.state.files.removed)),
    ]);
    let action = structs(vec![
        ("type", strings(&steps, |step| step.action.kind())),
        ("arguments", strings(&steps, |step| arguments_of(step))),
    ]);
    let exit_codes = steps.iter().map(|step| step.observation.exit_code);
    let errors = steps.iter().map(|step| Some(step.observation.is_error));
    let items = structs(vec![
        ("step", int32(&steps, |step| step.step)),
        ("state", state),
        ("action", action),
        ("observation", strings(&steps, |step| &step.observation.text)),
        ("exit_code", Arc::new(exit_codes.collect::<Int32Array>())),
        ("is_error", Arc::new(errors.collect::<BooleanArray>())),
        ("reward", float64(&steps, |step| step.reward)),
        ("milestones", string_lists(&steps, |step| &step.milestones)),
        ("reasoning", strings(&steps, |step| &step.reasoning)),
        ("seconds", float64(&steps, |step| step.seconds)),
    ]);
    lists(rows, |row| Some(row.steps.len()), items)
}

fn messages(rows: &[Waiting]) -> ArrayRef {
    let messages: Vec<&Message> = rows.iter().flat_map(|row| &row.messages).collect();
    let calls: Vec<&ToolCall> = messages.iter().flat_map(|message| &message.tool_calls).flatten().collect();
    let function = structs(vec![
        ("name", optional_strings(&calls, |call| call.name.as_deref())),
        ("arguments", strings(&calls, |call| &call.arguments)),
    ]);
    let calls = structs(vec![
        ("id", optional_strings(&calls, |call| call.id.as_deref())),
        ("type", strings(&calls, |call| &call.kind)),
        ("function", function),
    ]);
    let items = structs(vec![
        ("role", strings(&messages, |message| &message.role)),
        ("content", optional_strings(&messages, |message| message.content.as_deref())),
        ("reasoning_content", optional_strings(&messages, |message| message.reasoning_content.as_deref())),
        ("tool_calls", lists(&messages, |message| message.tool_calls.as_ref().map(Vec::len), calls)),
        ("tool_call_id", optional_strings(&messages, |message| message.tool_call_id.as_deref())),
        ("name", optional_strings(&messages, |message| message.name.as_deref())),
    ]);
    lists(rows, |row| Some(row.messages.len()), items)
}

fn reward_components(rows: &[Waiting]) -> ArrayRef {
    let components: Vec<&RewardComponent> =
        rows.iter().flat_map(|row| &row.summary.reward.components).collect();
    let items = structs(vec![
        ("name", strings(&components, |component| &component.name)),
        ("value", float64(&components, |component| component.value)),
        ("weight", float64(&components, |component| component.weight)),
    ]);
    lists(rows, |row| Some(row.summary.reward.components.len()), items)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with string keys")
}

/// The action without its type, as JSON text.
fn arguments_of(step: &Step) -> String {
    let mut fields = serde_json::to_value(&step.action).expect("an action is plain data with string keys");
    if let Some(fields) = fields.as_object_mut() {
        fields.shift_remove("type");
    }
    fields.to_string()
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn strings<'a, R, T: AsRef<str> + 'a>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<StringArray>())
}

fn optional_strings<'a, R>(rows: &'a [R], value: impl Fn(&'a R) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

fn int32<R>(rows: &[R], value: impl Fn(&R) -> u32) -> ArrayRef {
    let values = rows.iter().map(|row| i32::try_from(value(row)).unwrap_or(i32::MAX));
    Arc::new(Int32Array::from_iter_values(values))
}

fn int64<R>(rows: &[R], value: impl Fn(&R) -> u64) -> ArrayRef {
    let values = rows.iter().map(|row| i64::try_from(value(row)).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}

fn float64<R>(rows: &[R], value: impl Fn(&R) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(rows.iter().map(value)))
}

fn string_lists<'a, R>(rows: &'a [R], value: impl Fn(&'a R) -> &'a Vec<String>) -> ArrayRef {
    let items: Vec<&str> = rows.iter().flat_map(&value).map(String::as_str).collect();
    lists(rows, |row| Some(value(row).len()), strings(&items, |item| *item))
}

fn structs(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let length = fields.first().map_or(0, |(_, array)| array.len());
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = fields
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    let array = StructArray::try_new_with_length(fields.into(), arrays, None, length);
    Arc::new(array.expect("each field has one value per item"))
}

/// One list per row, of the given length (nothing for null), over items that stand one after another.
fn lists<'a, R>(rows: &'a [R], length: impl Fn(&'a R) -> Option<usize>, items: ArrayRef) -> ArrayRef {
    let lengths: Vec<Option<usize>> = rows.iter().map(length).collect();
    let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|length| length.unwrap_or(0)));
    let valid: NullBuffer = lengths.iter().map(Option::is_some).collect();
    let valid = (valid.null_count() > 0).then_some(valid);
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    let array = ListArray::try_new(field, offsets, items, valid);
    Arc::new(array.expect("the lengths add up to the number of items"))
}
