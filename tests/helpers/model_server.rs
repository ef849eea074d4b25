//! A model server of the tests' own: OpenAI-compatible, streaming, on a loopback port, playing scripted turns.
//!
//! A script belongs to a ticket and is chosen by the ticket's id in the conversation's user messages, so that many
//! sessions can talk to one server at once. Each request plays the next turn; a fault in last place repeats. A
//! request that no script expects is answered with 400 and a text that says so.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::wait;

/// The only model that the server has.
pub const MODEL: &str = "stub-1";

/// One answer of the model.
#[derive(Debug, Clone)]
pub struct Turn {
    kind: Kind,
    delta: usize,
    usage: (u64, u64),
}

#[derive(Debug, Clone)]
enum Kind {
    Say { text: String, finish: &'static str },
    Call { name: String, args: Value },
    Fail { status: u16, times: Option<u32> },
    Hang,
    Cut { text: String },
}

impl Turn {
    fn new(kind: Kind) -> Self {
        Self { kind, delta: 64, usage: (100, 20) }
    }

    /// The model says `text` and stops.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Kind::Say { text: text.into(), finish: "stop" })
    }

    /// The model says `text` and is cut off at its own limit.
    pub fn length(text: impl Into<String>) -> Self {
        Self::new(Kind::Say { text: text.into(), finish: "length" })
    }

    /// The model calls a tool.
    pub fn call(name: &str, args: Value) -> Self {
        Self::new(Kind::Call { name: name.to_owned(), args })
    }

    /// The model runs a shell command.
    pub fn bash(command: &str) -> Self {
        Self::call("bash", json!({ "command": command }))
    }

    /// The server fails with this status, once; in last place, always.
    pub fn error(status: u16) -> Self {
        Self::new(Kind::Fail { status, times: None })
    }

    /// The server refuses that many requests with 429 and then plays the next turn.
    pub fn rate_limit(times: u32) -> Self {
        Self::new(Kind::Fail { status: 429, times: Some(times) })
    }

    /// The server takes the request and never answers.
    pub fn hang() -> Self {
        Self::new(Kind::Hang)
    }

    /// The stream ends in the middle of the answer.
    pub fn cut(text: impl Into<String>) -> Self {
        Self::new(Kind::Cut { text: text.into() })
    }

    /// Streams in pieces of that many bytes (a character is never split).
    pub fn in_deltas_of(mut self, bytes: usize) -> Self {
        self.delta = bytes;
        self
    }

    /// Reports that many tokens used.
    pub fn using(mut self, input: u64, output: u64) -> Self {
        self.usage = (input, output);
        self
    }

    fn repeats_in_last_place(&self) -> bool {
        matches!(self.kind, Kind::Fail { times: None, .. } | Kind::Hang | Kind::Cut { .. })
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ticket whose script was played; none where no script was expected to.
    pub ticket: Option<String>,
    /// The first line's path.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Value,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Script>,
    requests: Vec<Request>,
    /// Another handle on every connection, to end those that hang.
    connections: Vec<TcpStream>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Script {
    turns: Vec<Turn>,
    next: usize,
    failed: u32,
}

impl Script {
    /// The turn to play now; none where the script is over.
    fn take(&mut self) -> Option<Turn> {
        while let Some(turn) = self.turns.get(self.next) {
            if let Kind::Fail { times: Some(times), .. } = turn.kind {
                if self.failed == times {
                    self.failed = 0;
                    self.next += 1;
                    continue;
                }
                self.failed += 1;
                return Some(turn.clone());
            }
            let stays = self.next + 1 == self.turns.len() && turn.repeats_in_last_place();
            let turn = turn.clone();
            self.next += usize::from(!stays);
            return Some(turn);
        }
        None
    }
}

/// The server. It ends, with every connection, when this is dropped.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    ends: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl ModelServer {
    /// Starts a server without any script.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("the port's address");
        let state = Arc::new(Mutex::new(State::default()));
        let ends = Arc::new(AtomicBool::new(false));
        let (shared, over) = (Arc::clone(&state), Arc::clone(&ends));
        let acceptor = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let Ok(handle) = connection.try_clone() else { continue };
                let worker_state = Arc::clone(&shared);
                let worker = std::thread::spawn(move || serve(connection, &worker_state));
                let mut state = lock(&shared);
                state.connections.push(handle);
                state.workers.push(worker);
            }
        });
        Self { address, state, ends, acceptor: Some(acceptor) }
    }

    /// The address that belongs into a client's settings.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the model does in conversations about `ticket`, from the next request on.
    pub fn plays(&self, ticket: &str, turns: impl IntoIterator<Item = Turn>) {
        let script = Script { turns: turns.into_iter().collect(), ..Script::default() };
        lock(&self.state).scripts.insert(ticket.to_owned(), script);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// The requests about `ticket` so far.
    pub fn requests_about(&self, ticket: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.ticket.as_deref() == Some(ticket));
        requests
    }

    /// Waits for the `count`th request about `ticket`, and returns it.
    #[track_caller]
    pub fn wait_for_request(&self, ticket: &str, count: usize) -> Request {
        wait::until(&format!("request {count} about {ticket}"), || {
            self.requests_about(ticket).into_iter().nth(count - 1)
        })
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the acceptor; where that fails it has already ended.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        let (connections, workers) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.connections), std::mem::take(&mut state.workers))
        };
        for connection in connections {
            // Fails where the client has gone, which is just as well.
            drop(connection.shutdown(Shutdown::Both));
        }
        for worker in workers {
            drop(worker.join());
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread of the server panics")
}

/// Serves one connection: one request, one answer. A client that goes away ends it.
fn serve(mut connection: TcpStream, state: &Mutex<State>) {
    let Some(request) = read_request(&connection) else { return };
    let (ticket, turn) = {
        let mut state = lock(state);
        let ticket = ticket_of(&request.body, state.scripts.keys());
        let turn = ticket.as_ref().and_then(|ticket| state.scripts.get_mut(ticket)).map(Script::take);
        state.requests.push(Request { ticket: ticket.clone(), ..request.clone() });
        (ticket, turn)
    };
    let answer = match (turn, ticket) {
        (Some(Some(turn)), _) => Answer::Turn(turn),
        (Some(None), Some(ticket)) => Answer::Refusal(format!("the script for {ticket} has no turn left")),
        _ => Answer::Refusal(format!("no script for {}", last_user_text(&request.body))),
    };
    // A client that went away gets no answer.
    drop(write_answer(&mut connection, &answer));
    drop(connection.shutdown(Shutdown::Both));
}

enum Answer {
    Turn(Turn),
    Refusal(String),
}

fn read_request(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_ascii_whitespace().nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: u64 = headers.get("content-length")?.parse().ok()?;
    let body = serde_json::from_reader(reader.take(length)).ok()?;
    Some(Request { ticket: None, path, headers, body })
}

/// What the user said, newest first.
fn user_texts(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let users = messages.iter().rev().filter(|message| message["role"] == "user");
    let text = |message: &Value| match &message["content"] {
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        content => content.as_str().unwrap_or_default().to_owned(),
    };
    users.map(text).collect()
}

fn last_user_text(body: &Value) -> String {
    user_texts(body).into_iter().next().unwrap_or_else(|| "a request without a user's message".to_owned())
}

/// The ticket that the conversation is about: the newest that is named as a word of its own.
fn ticket_of<'a>(body: &Value, tickets: impl Iterator<Item = &'a String>) -> Option<String> {
    let in_id = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let names = |text: &str, ticket: &str| {
        text.match_indices(ticket).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + ticket.len()..].chars().next();
            !before.is_some_and(in_id) && !after.is_some_and(in_id)
        })
    };
    let tickets: Vec<&String> = tickets.collect();
    let in_text =
        |text: &String| tickets.iter().find(|ticket| names(text, ticket)).map(|ticket| (*ticket).clone());
    user_texts(body).iter().find_map(in_text)
}

fn write_answer(connection: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let turn = match answer {
        Answer::Refusal(message) => return write_failure(connection, 400, message),
        Answer::Turn(turn) => turn,
    };
    match &turn.kind {
        Kind::Fail { status: 429, .. } => write_failure(connection, 429, "stub rate limit reached"),
        Kind::Fail { status, .. } => write_failure(connection, *status, "stub failure"),
        Kind::Hang => {
            // Returns when the client goes away or the server ends.
            connection.read_exact(&mut [0])
        }
        Kind::Cut { text } => {
            write_head(connection)?;
            pieces(text, turn.delta)
                .try_for_each(|piece| write_delta(connection, &json!({ "content": piece })))
        }
        Kind::Say { text, finish } => {
            write_head(connection)?;
            write_delta(connection, &json!({ "role": "assistant", "content": "" }))?;
            pieces(text, turn.delta)
                .try_for_each(|piece| write_delta(connection, &json!({ "content": piece })))?;
            write_end(connection, finish, turn.usage)
        }
        Kind::Call { name, args } => {
            write_head(connection)?;
            let id = format!("call_{}", uuid::Uuid::now_v7().simple());
            let first = json!({ "index": 0, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
            write_delta(connection, &json!({ "role": "assistant", "tool_calls": [first] }))?;
            pieces(&args.to_string(), turn.delta).try_for_each(|piece| {
                let part = json!({ "index": 0, "function": { "arguments": piece } });
                write_delta(connection, &json!({ "tool_calls": [part] }))
            })?;
            write_end(connection, "tool_calls", turn.usage)
        }
    }
}

/// `text` in pieces of at least one character and, where characters allow, exactly `bytes` bytes.
fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?.len_utf8();
        let mut end = bytes.clamp(first, rest.len().max(first)).min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end.max(first));
        rest = after;
        Some(piece)
    })
}

fn write_failure(connection: &mut TcpStream, status: u16, message: &str) -> std::io::Result<()> {
    let body = json!({ "error": { "message": message, "type": "stub", "code": status } }).to_string();
    // The client's own pauses between its tries would only cost time.
    write!(
        connection,
        "HTTP/1.1 {status} Stub\r\ncontent-type: application/json\r\nretry-after-ms: 5\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn write_head(connection: &mut TcpStream) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    connection.write_all(head.as_bytes())
}

fn write_delta(connection: &mut TcpStream, delta: &Value) -> std::io::Result<()> {
    write_event(connection, &json!([{ "index": 0, "delta": delta, "finish_reason": null }]), &Value::Null)
}

fn write_end(connection: &mut TcpStream, finish: &str, (input, output): (u64, u64)) -> std::io::Result<()> {
    write_event(connection, &json!([{ "index": 0, "delta": {}, "finish_reason": finish }]), &Value::Null)?;
    let usage =
        json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
    write_event(connection, &json!([]), &usage)?;
    connection.write_all(b"data: [DONE]\n\n")
}

fn write_event(connection: &mut TcpStream, choices: &Value, usage: &Value) -> std::io::Result<()> {
    let event = json!({
        "id": "stub", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": choices, "usage": usage,
    });
    connection.write_all(format!("data: {event}\n\n").as_bytes())
}
