//! A text browser for the web services of a task: pages come from inside the sandbox, through its own loopback.

mod fetch;
mod form;
mod html;
mod render;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use trajforge_sandbox::{Sandbox, Shown};
use trajforge_schema::Action;
use url::Url;

use fetch::{Fetched, Order};
use render::Rendered;

/// Redirections that are followed for one page.
const MOST_REDIRECTIONS: usize = 5;
/// Lines of a page that are shown at once.
const SHOWN_LINES: usize = 120;
/// Bytes of a page that are shown at once.
const SHOWN_BYTES: usize = 12 << 10;
/// Lines that a search shows at most.
const FOUND_LINES: usize = 40;

/// What an agent has open, and what it had open before.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    /// The last one is the page that is open.
    pages: Vec<Page>,
    /// By host and name.
    cookies: BTreeMap<(String, String), String>,
}

/// A page as the agent sees it.
#[derive(Debug)]
struct Page {
    url: Url,
    status: u16,
    rendered: Rendered,
}

/// What goes wrong for the agent.
type Told<T> = Result<T, String>;

impl Browser {
    /// Carries out an action of a browser; any other gives nothing.
    pub(crate) async fn act(
        &mut self,
        sandbox: &dyn Sandbox,
        action: &Action,
        most: Duration,
    ) -> Option<Result<Shown, trajforge_sandbox::Error>> {
        let order = match action {
            Action::Open { url, .. } => self.address(url).map(Order::get),
            Action::Follow { link } => self.link(*link).map(Order::get),
            Action::Fill { form, fields } => self.filled(*form, fields),
            Action::Back {} => return Some(Ok(shown(self.back()))),
            Action::Find { text } => return Some(Ok(shown(self.find(text)))),
            _ => return None,
        };
        let from = if let Action::Open { line, .. } = action { line.unwrap_or(1) } else { 1 };
        let order = match order {
            Ok(order) => order,
            Err(told) => return Some(Ok(shown(Err(told)))),
        };
        Some(match self.load(sandbox, order, most).await {
            Ok(Ok(page)) => {
                self.pages.push(page);
                Ok(shown(self.show(from)))
            }
            Ok(Err(told)) => Ok(shown(Err(told))),
            Err(error) => Err(error),
        })
    }

    /// An address as typed: relative to the open page where there is one.
    fn address(&self, text: &str) -> Told<Url> {
        let text = text.trim();
        let parsed = match self.pages.last() {
            Some(page) => page.url.join(text),
            None => Url::parse(text),
        };
        let url = parsed.or_else(|_| Url::parse(&format!("http://{text}")));
        let url = url.map_err(|error| format!("{text:?} is no address: {error}."))?;
        if url.scheme() == "http" && url.host_str().is_some() {
            return Ok(url);
        }
        Err(format!("{url} can't be opened: there is no network, and local services speak http."))
    }

    fn page(&self) -> Told<&Page> {
        self.pages.last().ok_or_else(|| "No page is open; open one first.".to_owned())
    }

    fn link(&self, number: u32) -> Told<Url> {
        let page = self.page()?;
        let links = &page.rendered.links;
        let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        let Some(link) = links.get(index) else {
            return Err(format!("There is no link {number} on this page; it has {}.", links.len()));
        };
        let url =
            page.url.join(link).map_err(|error| format!("The link {link:?} leads nowhere: {error}."))?;
        self.address(url.as_str())
    }

    fn filled(&self, number: u32, fields: &BTreeMap<String, String>) -> Told<Order> {
        let page = self.page()?;
        let forms = &page.rendered.forms;
        let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        let Some(form) = forms.get(index) else {
            return Err(format!("There is no form {number} on this page; it has {}.", forms.len()));
        };
        let order = form.fill(&page.url, fields)?;
        self.address(order.url.as_str())?;
        Ok(order)
    }

    fn back(&mut self) -> Told<String> {
        if self.pages.len() < 2 {
            return Err("There is no page before this one.".to_owned());
        }
        self.pages.pop();
        self.show(1)
    }

    fn find(&self, text: &str) -> Told<String> {
        let lines = &self.page()?.rendered.lines;
        let wanted = text.to_lowercase();
        let found = lines.iter().enumerate().filter(|(_, line)| line.to_lowercase().contains(&wanted));
        let mut told = String::new();
        let mut count = 0;
        for (index, line) in found {
            count += 1;
            if count <= FOUND_LINES {
                let _ = writeln!(told, "{:>5}  {line}", index + 1);
            }
        }
        if count == 0 {
            return Err(format!("{text:?} is nowhere on this page ({} lines).", lines.len()));
        }
        if count > FOUND_LINES {
            let _ = writeln!(told, "[{} more lines]", count - FOUND_LINES);
        }
        Ok(told)
    }

    /// The open page from a line on.
    fn show(&self, from: u64) -> Told<String> {
        let page = self.page()?;
        let Rendered { title, lines, forms, .. } = &page.rendered;
        let first = usize::try_from(from.max(1)).unwrap_or(usize::MAX);
        if first > lines.len().max(1) {
            return Err(format!("The page has only {} lines.", lines.len()));
        }
        let mut text =
            format!("{} ({}){}{title}\n\n", page.url, page.status, if title.is_empty() { "" } else { " " });
        let (mut next, start) = (first, text.len());
        for line in lines.iter().skip(first - 1).take(SHOWN_LINES) {
            if text.len() - start > SHOWN_BYTES {
                break;
            }
            let _ = writeln!(text, "{line}");
            next += 1;
        }
        if next <= lines.len() {
            let left = lines.len() + 1 - next;
            let _ = writeln!(
                text,
                "[{left} more lines; open this address with line {next}, or find words in it]"
            );
        }
        for (index, form) in forms.iter().enumerate() {
            let _ = write!(text, "\nForm {}: {form}", index + 1);
        }
        Ok(text)
    }

    /// Fetches a page, redirections followed.
    async fn load(
        &mut self,
        sandbox: &dyn Sandbox,
        mut order: Order,
        most: Duration,
    ) -> Result<Told<Page>, trajforge_sandbox::Error> {
        for _ in 0..=MOST_REDIRECTIONS {
            let host = order.url.host_str().unwrap_or_default().to_owned();
            let own = self.cookies.iter().filter(|((of, _), _)| *of == host);
            let cookies: Vec<String> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
            let fetched = match fetch::fetch(sandbox, &order, &cookies.join("; "), most).await? {
                Ok(fetched) => fetched,
                Err(told) => return Ok(Err(told)),
            };
            self.remember(&host, &fetched);
            let Some(next) = fetched.redirection() else {
                let rendered = render::render(&fetched);
                return Ok(Ok(Page { url: order.url, status: fetched.status, rendered }));
            };
            let next = order
                .url
                .join(next)
                .map_err(|error| format!("It leads to {next:?}, which is no address: {error}."));
            match next.and_then(|url| self.address(url.as_str())) {
                Ok(url) => order = order.redirected(url, fetched.status),
                Err(told) => return Ok(Err(told)),
            }
        }
        Ok(Err(format!("{} leads on and on: more than {MOST_REDIRECTIONS} redirections.", order.url)))
    }

    fn remember(&mut self, host: &str, fetched: &Fetched) {
        for cookie in fetched.all("set-cookie") {
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let key = (host.to_owned(), name.trim().to_owned());
            let is_gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
            if is_gone {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.trim().to_owned());
            }
        }
    }
}

fn shown(told: Told<String>) -> Shown {
    match told {
        Ok(text) => Shown { text, is_error: false, cut_bytes: 0 },
        Err(text) => Shown { text, is_error: true, cut_bytes: 0 },
    }
}
