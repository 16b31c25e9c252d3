//! Pages as an agent sees them, and forms as they are sent.

use std::collections::BTreeMap;

use url::Url;

use super::*;

#[test]
fn a_page_becomes_lines_with_numbered_links() {
    let page = "<html><head><title>The\n board</title><style>p {}</style></head><body><h1>News</h1>\
                <p>Read <a href='/a'>the first</a>, or\n   <a href=\"b?x=1\"><b>another</b></a>.<p>Last.\
                <ul><li>one<li><a href=c>two</a></ul><table><tr><th>k<th>v</tr><tr><td>1</td><td>2</td></tr></table>\
                <pre>a  b\n  c</pre><script>hidden()</script><img src=x alt='a cat'>";
    let rendered = of_html(page);
    assert_eq!(rendered.title, "The board");
    let expected = [
        "# News",
        "",
        "Read the first [1], or another [2].",
        "",
        "Last.",
        "- one",
        "- two [3]",
        "",
        "k | v",
        "1 | 2",
        "",
        "a  b",
        "  c",
        "",
        "[image: a cat]",
    ];
    assert_eq!(rendered.lines, expected);
    assert_eq!(rendered.links, ["/a", "b?x=1", "c"]);
}

fn form() -> Form {
    let page = "<form action='/join?old=1' method=POST><input type=hidden name=token value=t>\
                <input name=who value='nobody'><textarea name=why>be &amp; cause</textarea>\
                <select name=day><option value=1>Monday<option value=2 selected>Tuesday</select>\
                <input type=checkbox name=news value=yes checked><input type=radio name=size value=s><input type=radio name=size value=l checked>\
                <button name=go value=later>Later</button><button name=do>Join</button></form>";
    of_html(page).forms.remove(0)
}

fn sent(fields: &[(&str, &str)]) -> Result<String, String> {
    let fields: BTreeMap<String, String> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let page = Url::parse("http://localhost/board/").unwrap();
    form().fill(&page, &fields).map(|order| format!("{} {}", order.url, order.form.unwrap_or_default()))
}

#[test]
fn a_form_is_sent_with_its_own_values_where_no_others_are_given() {
    let all =
        "http://localhost/join?old=1 token=t&who=nobody&why=be+%26+cause&day=2&news=yes&size=l&go=later";
    assert_eq!(sent(&[]).as_deref(), Ok(all));
    let other = [("who", "Ines ü"), ("day", "Monday"), ("news", "off"), ("size", "s"), ("do", "")];
    let expected =
        "http://localhost/join?old=1 token=t&who=Ines+%C3%BC&why=be+%26+cause&day=1&size=s&do=Join";
    assert_eq!(sent(&other).as_deref(), Ok(expected));
}

#[test]
fn what_a_form_does_not_have_is_told() {
    assert!(sent(&[("nme", "x")]).unwrap_err().contains("it has who, why, day, news, size, go, do."));
    assert!(sent(&[("day", "Sunday")]).unwrap_err().contains("one of 1, 2."));
    assert!(sent(&[("size", "xl")]).unwrap_err().contains("one of s, l."));
    assert!(sent(&[("token", "mine")]).is_err());
    let text = form().to_string();
    assert!(text.starts_with("POST /join?old=1\n  who: \"nobody\"\n"), "{text}");
    assert!(text.contains("  day: \"2\", one of 1 (Monday), 2 (Tuesday)\n  news: on\n"), "{text}");
}
