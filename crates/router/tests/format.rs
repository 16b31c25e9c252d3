//! Records of earlier versions can be read: the files in `testdata/format` are never edited.

use std::path::{Path, PathBuf};

use serde_json::json;
use trajforge_router::gateway::{EXCHANGE_VERSION, Exchange, ExchangeEnd};
use trajforge_router::{Cassette, ChatRequest, Endpoint};
use trajforge_schema::{Dialect, ModelEntry};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format").join(name)
}

#[test]
fn exchanges_of_the_first_version_are_read_and_written_as_they_are() {
    let text = std::fs::read_to_string(golden("exchange-v1.jsonl")).unwrap();
    let exchanges: Vec<Exchange> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((exchanges.len(), EXCHANGE_VERSION), (2, 1));
    assert_eq!((exchanges[0].end, exchanges[1].end), (ExchangeEnd::Whole, ExchangeEnd::Refused));
    assert_eq!(exchanges[0].client_dialect, Dialect::AnthropicMessages);
    assert_eq!(exchanges[0].view.reply["content"], "hé");
    for (exchange, line) in exchanges.iter().zip(text.lines()) {
        assert_eq!(serde_json::to_string(exchange).unwrap(), line);
    }
}

#[tokio::test]
async fn a_cassette_of_the_first_version_plays() {
    let cassette = Cassette::replay(&golden("cassette-v1.jsonl")).unwrap();
    let entry = ModelEntry { output_tokens: 50, ..ModelEntry::at("m", "http://127.0.0.1:9/v1") };
    let endpoint = Endpoint::new(entry, None).unwrap().with_cassette(cassette).unwrap();
    let messages = vec![
        json!({ "role": "system", "content": "Be brief." }),
        json!({ "role": "user", "content": "hello" }),
    ];
    let reply = endpoint.ask(&ChatRequest { messages, tools: Vec::new() }).await.unwrap();
    assert_eq!((&reply.message["content"], reply.usage.input.0), (&json!("hé"), 9));
}
