//! A form: its fields as they are, and the request that it makes once it is filled.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;
use url::form_urlencoded::Serializer;

use super::Told;
use super::fetch::Order;

/// A form of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// As the page has it; empty for the page itself.
    pub(super) action: String,
    pub(super) is_post: bool,
    /// Whether it would send files.
    pub(super) is_multipart: bool,
    pub(super) fields: Vec<Field>,
}

/// A field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What it holds; of boxes and buttons, what is sent when they are chosen.
    pub(super) value: String,
    /// Whether a box is ticked.
    pub(super) is_chosen: bool,
    /// Values and labels of a choice.
    pub(super) options: Vec<(String, String)>,
}

/// What kind of field it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything that is typed.
    #[default]
    Text,
    /// Sent as it is.
    Hidden,
    /// Sent when ticked.
    Checkbox,
    /// One of several with the same name.
    Radio,
    /// One of its options.
    Choice,
    /// Sends the form; its own value goes with it.
    Submit,
}

impl Form {
    /// The request that it makes with these values instead of its own.
    pub(super) fn fill(&self, page: &Url, values: &BTreeMap<String, String>) -> Told<Order> {
        if self.is_multipart && self.is_post {
            return Err("This form sends files, which this browser can't.".to_owned());
        }
        for name in values.keys() {
            if !self.fields.iter().any(|field| field.name == *name && field.kind != Kind::Hidden) {
                return Err(format!("The form has no field {name:?}; it has {}.", self.names().join(", ")));
            }
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let named = |kind: Kind| {
            self.fields.iter().find(move |field| field.kind == kind && values.contains_key(&field.name))
        };
        // Without one that is asked for, the first button is pressed.
        let button =
            named(Kind::Submit).or_else(|| self.fields.iter().find(|field| field.kind == Kind::Submit));
        for field in &self.fields {
            let wanted = values.get(&field.name).map(String::as_str);
            let sent = match field.kind {
                Kind::Text => Some(wanted.unwrap_or(&field.value)),
                Kind::Hidden => Some(field.value.as_str()),
                Kind::Checkbox => wanted.map_or(field.is_chosen, is_yes).then_some(field.value.as_str()),
                Kind::Radio => {
                    let is_chosen = wanted.map_or(field.is_chosen, |wanted| wanted == field.value);
                    is_chosen.then_some(field.value.as_str())
                }
                Kind::Choice => match wanted {
                    Some(wanted) => Some(field.option(wanted)?),
                    None => Some(field.value.as_str()),
                },
                Kind::Submit => button.is_some_and(|button| button == field).then_some(field.value.as_str()),
            };
            pairs.extend(sent.filter(|_| !field.name.is_empty()).map(|value| (field.name.as_str(), value)));
        }
        self.check_radios(values)?;
        let url = page
            .join(&self.action)
            .map_err(|error| format!("The form leads to {:?}: {error}.", self.action))?;
        let encoded = Serializer::new(String::new()).extend_pairs(&pairs).finish();
        if self.is_post {
            return Ok(Order { url, form: Some(encoded) });
        }
        let mut url = url;
        url.set_query(Some(&encoded));
        Ok(Order::get(url))
    }

    fn check_radios(&self, values: &BTreeMap<String, String>) -> Told<()> {
        for (name, wanted) in values {
            let of_name: Vec<&Field> =
                self.fields.iter().filter(|field| field.kind == Kind::Radio && field.name == *name).collect();
            if !of_name.is_empty() && of_name.iter().all(|field| field.value != *wanted) {
                let known: Vec<&str> = of_name.iter().map(|field| field.value.as_str()).collect();
                return Err(format!("{name} can't be {wanted:?}; it is one of {}.", known.join(", ")));
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for field in self.fields.iter().filter(|field| field.kind != Kind::Hidden && !field.name.is_empty()) {
            if !names.contains(&field.name.as_str()) {
                names.push(&field.name);
            }
        }
        names
    }
}

impl Field {
    /// The value of an option that is named by it or by its label.
    fn option(&self, wanted: &str) -> Told<&str> {
        let found = self.options.iter().find(|(value, label)| value == wanted || label == wanted);
        found.map(|(value, _)| value.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.options.iter().map(|(value, _)| value.as_str()).collect();
            format!("{} can't be {wanted:?}; it is one of {}.", self.name, known.join(", "))
        })
    }
}

fn is_yes(text: &str) -> bool {
    !["", "off", "false", "no", "0"].contains(&text.to_lowercase().as_str())
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.action.is_empty() { "this page" } else { &self.action };
        writeln!(f, "{} {action}", if self.is_post { "POST" } else { "GET" })?;
        for field in &self.fields {
            let Field { name, value, is_chosen, options, .. } = field;
            match field.kind {
                Kind::Hidden => {}
                Kind::Text => writeln!(f, "  {name}: {value:?}")?,
                Kind::Checkbox => writeln!(f, "  {name}: {}", if *is_chosen { "on" } else { "off" })?,
                Kind::Radio => writeln!(f, "  {name}: {value}{}", if *is_chosen { " (chosen)" } else { "" })?,
                Kind::Choice => {
                    let options: Vec<String> = options
                        .iter()
                        .map(
                            |(value, label)| {
                                if value == label { value.clone() } else { format!("{value} ({label})") }
                            },
                        )
                        .collect();
                    writeln!(f, "  {name}: {value:?}, one of {}", options.join(", "))?;
                }
                Kind::Submit if name.is_empty() => writeln!(f, "  [{value}]")?,
                Kind::Submit => writeln!(f, "  [{value}] ({name})")?,
            }
        }
        Ok(())
    }
}
