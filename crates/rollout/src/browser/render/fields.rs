//! The forms of a page, as its tags come.

use super::{Inside, Writer};
use crate::browser::form::{Field, Form, Kind};
use crate::browser::html::attribute;

impl Writer {
    /// A form begins.
    pub(super) fn form(&mut self, attributes: &[(String, String)]) {
        let is = |name: &str, value: &str| {
            attribute(attributes, name).is_some_and(|own| own.eq_ignore_ascii_case(value))
        };
        self.rendered.forms.push(Form {
            action: attribute(attributes, "action").unwrap_or_default().to_owned(),
            is_post: is("method", "post"),
            is_multipart: is("enctype", "multipart/form-data"),
            fields: Vec::new(),
        });
        self.in_form = true;
    }

    /// A field of it begins, or an option of a field.
    pub(super) fn field(&mut self, element: &str, attributes: &[(String, String)]) {
        if element == "option" {
            self.end_option();
            let value = attribute(attributes, "value").map(str::to_owned);
            self.option = Some((value, String::new(), attribute(attributes, "selected").is_some()));
            return;
        }
        let (name, kind) = (attribute(attributes, "name").unwrap_or_default(), attribute(attributes, "type"));
        let kind = match (element, kind.unwrap_or_default().to_ascii_lowercase().as_str()) {
            ("select", _) => Kind::Choice,
            ("textarea", _) => Kind::Text,
            ("button", "button" | "reset") | ("input", "button" | "reset" | "file") => return,
            ("button", _) | ("input", "submit" | "image") => Kind::Submit,
            (_, "hidden") => Kind::Hidden,
            (_, "checkbox") => Kind::Checkbox,
            (_, "radio") => Kind::Radio,
            _ => Kind::Text,
        };
        let without_value = match kind {
            Kind::Checkbox | Kind::Radio => "on",
            Kind::Submit if element == "input" => "Submit",
            _ => "",
        };
        let field = Field {
            name: name.to_owned(),
            kind,
            value: attribute(attributes, "value").unwrap_or(without_value).to_owned(),
            is_chosen: attribute(attributes, "checked").is_some(),
            options: Vec::new(),
        };
        self.inside = match element {
            "textarea" => Inside::Textarea,
            "button" => Inside::Button,
            _ => self.inside,
        };
        if self.in_form
            && let Some(form) = self.rendered.forms.last_mut()
        {
            form.fields.push(field);
        }
    }

    /// The field that was begun last.
    pub(super) fn last_field(&mut self) -> Option<&mut Field> {
        self.rendered.forms.last_mut().filter(|_| self.in_form)?.fields.last_mut()
    }

    /// An option of a choice ends.
    pub(super) fn end_option(&mut self) {
        let Some((value, label, is_selected)) = self.option.take() else { return };
        let Some(field) = self.last_field().filter(|field| field.kind == Kind::Choice) else { return };
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        let value = value.unwrap_or_else(|| label.clone());
        if is_selected || field.options.is_empty() {
            field.value.clone_from(&value);
        }
        field.options.push((value, label));
    }
}
