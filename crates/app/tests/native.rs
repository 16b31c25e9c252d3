//! Native scaffolds, and one on the host, work whole tasks in real containers against scripted models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod program;

use program::{Program, containers};
use serde_json::{Value, json};
use trajforge_router::Scripted;

fn call(number: usize, tool: &str, arguments: &Value) -> Value {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    let calls = json!([{ "id": format!("call-{number}"), "type": "function", "function": function }]);
    json!({ "role": "assistant", "content": format!("Step {number}."), "tool_calls": calls })
}

fn says(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

fn bash(commands: &[&str]) -> Vec<Value> {
    commands
        .iter()
        .enumerate()
        .map(|(number, command)| call(number, "bash", &json!({ "command": command })))
        .collect()
}

/// What becomes of the greeting's seed 1 with these replies.
async fn run(scaffold: &str, replies: Vec<Value>) -> Value {
    let server = Scripted::play(replies).await.unwrap();
    let program = Program::new();
    let (url, out) = (server.base_url(), format!("runs/native-{scaffold}"));
    let run = ["run", "--template", "testing", "--seeds", "1", "--scaffold", scaffold, "--model", "scripted"];
    let with = ["--base-url", &url, "--price", "1,2", "--out", &out];
    program.say(&[&run[..], &with[..]].concat()).well();
    assert_eq!(containers(&format!("native-{scaffold}")), 0);
    program.say(&["show", &out, "greeting-1", "--json"]).well().json()
}

fn kinds(shown: &Value) -> Vec<&str> {
    let steps = shown["trajectory"].as_array().unwrap();
    steps.iter().map(|step| step["action"]["type"].as_str().unwrap()).collect()
}

fn succeeded(shown: &Value) {
    let result = (shown["final_result"].as_str(), shown["total_reward"].as_f64());
    assert_eq!(result, (Some("success"), Some(1.0)), "{shown:#}");
    assert!(!shown["scaffold_version"].as_str().unwrap().is_empty());
    assert!(shown["messages"].as_array().unwrap().len() > 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_works_a_task_with_one_tool_and_a_shell_that_lasts() {
    let commands =
        ["name=ines", "echo \"Hello, $name!\" > greeting.txt; cat greeting.txt", "submit 'Wrote it.'"];
    let shown = run("bash", bash(&commands)).await;
    succeeded(&shown);
    assert_eq!(kinds(&shown), ["bash", "bash", "submit"]);
    assert_eq!(shown["trajectory"][1]["observation"], "Hello, ines!\n");
    assert_eq!(shown["tools"].as_array().unwrap().len(), 1);
    assert_eq!(shown["trajectory"][2]["action"]["message"], "Wrote it.");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_works_a_task_with_fenced_blocks() {
    let replies = [
        "A look first.\n```bash\nls; cat notes.txt\n```",
        "Now the file.\n```write greeting.txt\nHello, world!\n```",
        "The wrong name.\n```edit greeting.txt\n<<<<<<< SEARCH\n  Hello,   world!\n=======\n  Hello, ines!\n>>>>>>> REPLACE\n```",
        "```submit\nWrote the greeting.\n```",
    ];
    let shown = run("text", replies.map(says).to_vec()).await;
    succeeded(&shown);
    assert_eq!(kinds(&shown), ["bash", "write", "edit", "submit"]);
    assert!(shown["trajectory"][2]["observation"].as_str().unwrap().contains("fuzzy match"));
    assert_eq!(shown["trajectory"][0]["reasoning"], "A look first.");
    let roles: Vec<&str> = shown["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles[..4], ["system", "user", "assistant", "user"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_xml_works_a_task() {
    let replies = [
        "<function=list></function>",
        "<function=write>\n<parameter=path>greeting.txt</parameter>\n<parameter=content>\nHello, ines!\n\n</parameter>\n</function>",
        "<function=submit>\n<parameter=message>Done.</parameter>\n</function>",
    ];
    let shown = run("text-xml", replies.map(says).to_vec()).await;
    succeeded(&shown);
    assert_eq!(kinds(&shown), ["list", "write", "submit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_react_works_a_task() {
    let replies = [
        "Thought: look.\nAction: bash\nAction Input: ls -l",
        "Thought: write.\nAction: write\nAction Input: {\"path\": \"greeting.txt\", \"content\": \"Hello, ines!\\n\"}",
        "Thought: done.\nAction: submit\nAction Input: {\"message\": \"Done.\"}",
    ];
    let shown = run("text-react", replies.map(says).to_vec()).await;
    succeeded(&shown);
    assert_eq!(kinds(&shown), ["bash", "write", "submit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_on_the_host_works_a_task_in_a_container_without_network() {
    let mut replies = bash(&["pwd", "echo 'Hello, ines!' > greeting.txt"]);
    replies.push(call(2, "submit", &json!({ "message": "Done." })));
    let shown = run("example-python", replies).await;
    succeeded(&shown);
    assert_eq!(kinds(&shown), ["bash", "bash", "submit"]);
    assert_eq!(shown["trajectory"][0]["observation"], "/workspace\n");
    assert!(shown["total_tokens"].as_u64().unwrap() > 0 && shown["cost_usd"].as_f64().unwrap() > 0.0);
}

/// What is done on the notice board: looking, a wrong password, the right one, and two ways out that lead nowhere.
fn on_the_board() -> [(&'static str, Value); 14] {
    [
        ("open", json!({ "url": "http://127.0.0.1:8080/" })),
        ("find", json!({ "text": "THE END" })),
        ("open", json!({ "url": "/", "line": 121 })),
        ("follow", json!({ "link": 1 })),
        ("fill", json!({ "form": 1, "fields": { "password": "wrong" } })),
        ("back", json!({})),
        ("bash", json!({ "command": "cat password.txt" })),
        ("fill", json!({ "form": 1, "fields": { "password": "harbour" } })),
        ("follow", json!({ "link": 9 })),
        ("follow", json!({ "link": 2 })),
        ("fill", json!({ "form": 1, "fields": { "person": "mai", "meal": "Vegetarian" } })),
        ("open", json!({ "url": "https://example.org" })),
        ("open", json!({ "url": "http://127.0.0.1:9/" })),
        ("submit", json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn browse_works_a_task_in_a_local_web_service_that_has_no_client() {
    let replies = on_the_board()
        .iter()
        .enumerate()
        .map(|(number, (tool, arguments))| call(number, tool, arguments))
        .collect();
    let server = Scripted::play(replies).await.unwrap();
    let program = Program::new();
    let url = server.base_url();
    let templates = Program::home().join("testdata/browse").display().to_string();
    let run = "run --template testing/board --seeds 1 --scaffold browse --model scripted --price 1,2 --out runs/native-browse";
    let run: Vec<&str> = run.split(' ').chain(["--templates", &templates, "--base-url", &url]).collect();
    program.say(&run).well();
    let shown = program.say(&["show", "runs/native-browse", "board-1", "--json"]).well().json();
    let seen: Vec<&str> = shown["trajectory"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["observation"].as_str().unwrap())
        .collect();
    assert!(
        seen[0].starts_with(
            "http://127.0.0.1:8080/ (200) Notice board\n\n# Notice board\n\nSee the workshops [1]."
        ),
        "{}",
        seen[0]
    );
    assert!(seen[0].contains("more lines; open this address with line 121"), "{}", seen[0]);
    assert!(seen[1].contains("185  The end."), "{}", seen[1]);
    assert!(seen[2].contains("The end."), "{}", seen[2]);
    assert!(seen[3].contains("Form 1: POST /login\n  password: \"\"\n  [Enter]\n"), "{}", seen[3]);
    assert!(seen[4].contains("(403) Wrong password"), "{}", seen[4]);
    assert!(seen[5].contains("Login") && seen[6] == "harbour\n");
    assert!(seen[7].contains("workshop | day\nbread [1] | Monday\nknots [2] | Thursday"), "{}", seen[7]);
    assert_eq!(seen[8], "There is no link 9 on this page; it has 3.");
    assert!(seen[10].contains("mai is expected on Thursday."), "{}", seen[10]);
    assert!(
        seen[11].contains("there is no network") && seen[12] == "Nothing listens at 127.0.0.1:9.",
        "{seen:?}"
    );
    succeeded(&shown);
    assert_eq!(shown["trajectory"][13]["state"]["changed"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_goes_in_circles_fails_cleanly_with_its_trajectory() {
    let shown = run("bash", bash(&["cat nowhere.txt"; 8])).await;
    assert_eq!(shown["ending"]["kind"], "stuck");
    assert_eq!((shown["final_result"].as_str(), kinds(&shown).len()), (Some("failure"), 6));
}
