//! Parameters: each drawn from a stream of its own, in the order in which they are written.

use indexmap::IndexMap;
use serde_json::{Number, Value};

use crate::definition::Parameter;
use crate::error::Fault;
use crate::render::Renderer;
use crate::stream::Stream;
use crate::words;

/// What is wrong with a parameter, and what to write instead.
type Wrong = (String, String);

/// All parameters of one member.
pub(crate) fn draw(
    renderer: &mut Renderer<'_>,
    parameters: &IndexMap<String, Parameter>,
) -> Result<(), Box<Fault>> {
    for (name, parameter) in parameters {
        let value = match &parameter.value {
            Some(expression) => renderer.evaluate(expression)?,
            None => one(parameter, &mut renderer.stream(&format!("parameters.{name}"))).map_err(
                |(wrong, hint)| Box::new(renderer.fault(format!("parameter `{name}`: {wrong}")).hint(hint)),
            )?,
        };
        renderer.bind(name, value);
    }
    Ok(())
}

fn one(parameter: &Parameter, stream: &mut Stream) -> Result<Value, Wrong> {
    let Parameter {
        choice,
        weights,
        int,
        step,
        decimal,
        chance,
        sample,
        shuffle,
        word,
        count,
        hex,
        seed,
        ..
    } = parameter;
    let given = [
        choice.is_some(),
        int.is_some(),
        decimal.is_some(),
        chance.is_some(),
        sample.is_some(),
        shuffle.is_some(),
        word.is_some(),
        hex.is_some(),
        seed.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err((
            "it says how it is drawn either never or more than once".to_owned(),
            "write exactly one of choice, int, decimal, chance, sample, shuffle, word, hex, seed, value"
                .to_owned(),
        ));
    }
    if let Some(values) = choice {
        return chosen(values, weights.as_deref(), stream);
    }
    if let Some((low, high)) = *int {
        return whole(low, high, step.unwrap_or(1), stream);
    }
    if let Some((low, high, places)) = *decimal {
        return decimal_number(low, high, places, stream);
    }
    if let Some(probability) = *chance {
        return Ok(Value::Bool(stream.unit() < probability));
    }
    if let Some(sample) = sample {
        if sample.count > sample.from.len() {
            return Err((
                format!("it samples {} out of {}", sample.count, sample.from.len()),
                "lengthen `from` or lower `count`".to_owned(),
            ));
        }
        let order = stream.order(sample.from.len());
        return Ok(order.into_iter().take(sample.count).map(|index| sample.from[index].clone()).collect());
    }
    if let Some(values) = shuffle {
        return Ok(stream.order(values.len()).into_iter().map(|index| values[index].clone()).collect());
    }
    if let Some(list) = word {
        return words_of(list, *count, stream);
    }
    if let Some(digits) = *hex {
        return Ok(Value::String(stream.hex(digits)));
    }
    Ok(Value::Number(Number::from(stream.bits() >> 11)))
}

fn chosen(values: &[Value], weights: Option<&[u64]>, stream: &mut Stream) -> Result<Value, Wrong> {
    if values.is_empty() {
        return Err(("its `choice` is empty".to_owned(), "list at least one value".to_owned()));
    }
    let index = match weights {
        None => stream.index(values.len()),
        Some(weights) if weights.len() == values.len() => stream.weighted(weights),
        Some(weights) => {
            return Err((
                format!("it has {} values and {} weights", values.len(), weights.len()),
                "give each value one weight".to_owned(),
            ));
        }
    };
    Ok(values[index].clone())
}

fn whole(low: i64, high: i64, step: i64, stream: &mut Stream) -> Result<Value, Wrong> {
    if low > high || step < 1 {
        return Err((
            format!("int [{low}, {high}] with step {step} holds no number"),
            "write the lower end first, and a step of at least 1".to_owned(),
        ));
    }
    Ok(Value::from(low + step * stream.int(0, (high - low) / step)))
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by the check before")]
fn decimal_number(low: f64, high: f64, places: u32, stream: &mut Stream) -> Result<Value, Wrong> {
    if low > high || places > 9 || low.abs() > 1e9 || high.abs() > 1e9 {
        return Err((
            format!("decimal [{low}, {high}, {places}] can't be drawn"),
            "write the lower end first, at most 9 places, and numbers below 10^9".to_owned(),
        ));
    }
    let grid = 10_i64.pow(places);
    let drawn = stream.int((low * grid as f64).round() as i64, (high * grid as f64).round() as i64);
    Ok(Number::from_f64(drawn as f64 / grid as f64).map_or(Value::Null, Value::Number))
}

fn words_of(list: &str, count: Option<usize>, stream: &mut Stream) -> Result<Value, Wrong> {
    let words = words::list(list).ok_or_else(|| {
        (format!("there is no word list `{list}`"), format!("the lists are {}", words::NAMES.join(", ")))
    })?;
    match count {
        None => Ok(Value::from(words[stream.index(words.len())])),
        Some(count) if count > words.len() => Err((
            format!("it wants {count} of the {} words in `{list}`", words.len()),
            "lower `count`".to_owned(),
        )),
        Some(count) => {
            let order = stream.order(words.len());
            Ok(order.into_iter().take(count).map(|index| Value::from(words[index])).collect())
        }
    }
}
