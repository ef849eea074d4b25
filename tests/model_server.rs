//! The model server of the tests does what pi's tests rely on, shown by talking to it directly.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::helpers::{ModelServer, Turn};

/// One answer: its status and what follows the headers.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn deltas(&self) -> Vec<String> {
        let events = self.events();
        let contents = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        contents.filter(|content| !content.is_empty()).map(str::to_owned).collect()
    }

    fn finish_reason(&self) -> Option<String> {
        let events = self.events();
        events.iter().find_map(|event| Some(event["choices"][0]["finish_reason"].as_str()?.to_owned()))
    }
}

/// Sends a request without waiting for its answer.
fn send(server: &ModelServer, user: &Value) -> TcpStream {
    let body = json!({ "model": "stub-1", "stream": true, "messages": [
        { "role": "system", "content": "You work in a folder named T-9." },
        { "role": "user", "content": user },
    ] });
    let body = body.to_string();
    let mut connection = TcpStream::connect(server.address()).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nAuthorization: Bearer key\r\n";
    write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    connection
}

fn receive(mut connection: TcpStream) -> Answer {
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: body.to_owned() }
}

fn ask(server: &ModelServer, user: &str) -> Answer {
    receive(send(server, &json!(user)))
}

#[test]
fn text_comes_in_deltas_with_a_reason_and_usage_at_the_end() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::text("Grüße, done").in_deltas_of(4).using(7, 5)]);
    let answer = ask(&server, "Work on T-1.");
    assert_eq!((answer.status, answer.finish_reason().as_deref()), (200, Some("stop")));
    assert_eq!(answer.deltas(), ["Grü", "ße,", " don", "e"]);
    assert_eq!(answer.events().last().unwrap()["usage"]["total_tokens"], 12);
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_tool_call_comes_in_parts_that_make_its_arguments() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::bash("git commit -m 'x'").in_deltas_of(3)]);
    let answer = ask(&server, "T-1");
    let events = answer.events();
    let calls: Vec<&Value> = events.iter().map(|e| &e["choices"][0]["delta"]["tool_calls"][0]).collect();
    assert_eq!(calls[0]["function"]["name"], "bash");
    let args: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&args).unwrap(), json!({ "command": "git commit -m 'x'" }));
    assert_eq!(answer.finish_reason().as_deref(), Some("tool_calls"));
}

#[test]
fn the_script_is_chosen_by_the_ticket_that_the_user_names() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::text("one")]);
    server.plays("T-10", [Turn::text("ten"), Turn::length("more")]);
    server.plays("T-9", [Turn::text("nine")]);
    assert_eq!(ask(&server, "Work on T-10, please").deltas(), ["ten"]);
    assert_eq!(
        receive(send(&server, &json!([{ "type": "text", "text": "/tf T-1 --auto" }]))).deltas(),
        ["one"]
    );
    assert_eq!(ask(&server, "T-10").finish_reason().as_deref(), Some("length"));
    assert_eq!(server.requests().len(), 3);
    let request = server.wait_for_request("T-10", 2);
    assert_eq!(
        (request.path.as_str(), request.headers["authorization"].as_str()),
        ("/v1/chat/completions", "Bearer key")
    );
    assert_eq!(request.body["stream"], true);
}

#[test]
fn a_request_that_no_script_expects_is_refused_in_words() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::text("one")]);
    let strange = ask(&server, "/tf T-2 --auto");
    assert_eq!(strange.status, 400);
    assert!(strange.body.contains("no script for /tf T-2 --auto"), "{}", strange.body);
    assert_eq!(ask(&server, "T-1").status, 200);
    assert!(ask(&server, "T-1").body.contains("the script for T-1 has no turn left"));
}

#[test]
fn rate_limits_end_and_a_fault_in_last_place_does_not() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::rate_limit(2), Turn::error(503), Turn::text("yes"), Turn::error(500)]);
    let statuses: Vec<u16> = (0..6).map(|_| ask(&server, "T-1").status).collect();
    assert_eq!(statuses, [429, 429, 503, 200, 500, 500]);
}

#[test]
fn a_cut_stream_has_no_end() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::cut("half an answ").in_deltas_of(4)]);
    let answer = ask(&server, "T-1");
    assert_eq!((answer.deltas().concat().as_str(), answer.finish_reason()), ("half an answ", None));
    assert!(!answer.body.contains("[DONE]"));
}

#[test]
fn a_hanging_answer_hangs_until_the_server_ends_and_hinders_no_one() {
    let server = ModelServer::start();
    server.plays("T-1", [Turn::hang()]);
    server.plays("T-2", [Turn::text("two")]);
    let hanging = send(&server, &json!("T-1"));
    server.wait_for_request("T-1", 1);
    assert_eq!(ask(&server, "T-2").deltas(), ["two"]);
    hanging.set_nonblocking(true).unwrap();
    let nothing_yet = (&hanging).read(&mut [0]).unwrap_err();
    assert_eq!(nothing_yet.kind(), std::io::ErrorKind::WouldBlock);
    drop(server);
    hanging.set_nonblocking(false).unwrap();
    assert_eq!((&hanging).read(&mut [0]).unwrap_or(0), 0);
}
