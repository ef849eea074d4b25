//! The real pi, where it is installed: `npm ci --ignore-scripts` in tests/real_pi. Where it or node is missing, its
//! tests are skipped and one line says so; with RALPH_TEST_REQUIRE_PI=1 they fail instead.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::json;

use super::model_server::{MODEL, ModelServer};
use super::process::program_of_this_machine;
use super::sandbox::Sandbox;

/// The folder with pi's package.json, lock file and installation.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_pi")
}

/// An installed pi.
pub struct RealPi {
    program: PathBuf,
}

impl RealPi {
    /// The installed pi. Where there is none the test that asks is skipped, and returns at once.
    pub fn find_or_skip() -> Option<Self> {
        let missing = match Self::find() {
            Ok(found) => return Some(found),
            Err(missing) => missing,
        };
        assert!(
            std::env::var_os("RALPH_TEST_REQUIRE_PI").is_none_or(|v| v != "1"),
            "RALPH_TEST_REQUIRE_PI: {missing}"
        );
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let line = format!("\n{} tests of the real pi are skipped: {missing}\n", tests_that_need_it());
            // Past the capture of the test's output: a skipped test must not pass for a test that ran.
            drop(std::io::stderr().write_all(line.as_bytes()));
        });
        None
    }

    fn find() -> Result<Self, String> {
        if program_of_this_machine("node").is_none() {
            return Err("node is not on PATH".to_owned());
        }
        let program = folder().join("node_modules/@earendil-works/pi-coding-agent/dist/cli.js");
        if program.is_file() {
            Ok(Self { program })
        } else {
            Err("run `npm ci --ignore-scripts` in tests/real_pi".to_owned())
        }
    }

    /// Puts it on the sandbox's PATH as `pi`, with node, and makes `server` its only model. Its pauses between tries
    /// are shortened, not their number.
    pub fn install(&self, sandbox: &Sandbox, server: &ModelServer) {
        assert!(sandbox.link_tool("node") && sandbox.link_tool("bash"), "pi needs node and bash");
        symlink(&self.program, sandbox.bin().join("pi")).expect("a link in the sandbox's bin");
        let models = json!({ "providers": { "stub": {
            "baseUrl": server.base_url(),
            "api": "openai-completions",
            "apiKey": "not-a-secret",
            "models": [{
                "id": MODEL,
                "contextWindow": 100_000,
                "maxTokens": 10_000,
                "cost": { "input": 10, "output": 100, "cacheRead": 0, "cacheWrite": 0 },
            }],
        } } });
        let settings = json!({
            "defaultProvider": "stub",
            "defaultModel": MODEL,
            "retry": { "baseDelayMs": 10 },
        });
        let agent = sandbox.path("pi-agent");
        sandbox.write("pi-agent/models.json", models.to_string());
        sandbox.write("pi-agent/settings.json", settings.to_string());
        sandbox.set_env("PI_CODING_AGENT_DIR", agent);
        sandbox.set_env("PI_OFFLINE", "1");
        sandbox.set_env("NO_PROXY", "127.0.0.1,localhost");
    }
}

/// How many tests begin with the question for it.
fn tests_that_need_it() -> usize {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = fs::read_dir(tests).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let texts = files.filter(|path| path.is_file()).filter_map(|path| fs::read_to_string(path).ok());
    texts.map(|text| text.matches("RealPi::find_or_skip() else").count()).sum()
}
