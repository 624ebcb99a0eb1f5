//! A thin client of W3C WebDriver: enough to open a page, ask it things, and take its picture.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::browser::{Browser, Engine};
use super::process::Background;
use super::{Result, fail};

/// One browser window.
pub(crate) struct Session {
    base: String,
    engine: Engine,
    // Dropped last: the driver ends the browser that it started.
    driver: Background,
}

impl Session {
    /// Starts the driver and a browser without a window on the screen.
    pub(crate) fn start(browser: &Browser, width: u32, height: u32) -> Result<Session> {
        let mut driver = Background::start(
            Command::new(&browser.driver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()),
        )?;
        let port = driver.wait_for(|line| port(browser.engine, line));
        let port =
            port.ok_or_else(|| fail(format!("{} did not say on which port it listens", browser.driver.display())))?;
        let capabilities = json!({"capabilities": {"alwaysMatch": browser.engine.capabilities(&browser.binary)}});
        let driver_url = format!("http://127.0.0.1:{port}");
        let answer = call("POST", &format!("{driver_url}/session"), Some(&capabilities))?;
        let id = answer["sessionId"].as_str().ok_or_else(|| fail("the driver gave no session"))?;
        let session = Session { base: format!("{driver_url}/session/{id}"), engine: browser.engine, driver };
        let size = json!({"width": width, "height": height});
        call("POST", &format!("{}/window/rect", session.base), Some(&size))?;
        Ok(session)
    }

    pub(crate) fn open(&self, url: &str) -> Result<()> {
        call("POST", &format!("{}/url", self.base), Some(&json!({ "url": url }))).map(drop)
    }

    /// Runs the body of a function in the page and returns its value; of a promise, what it settles to.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        call("POST", &format!("{}/execute/sync", self.base), Some(&json!({"script": script, "args": []})))
    }

    /// Runs `script` again and again until its value is neither null nor false.
    pub(crate) fn wait_for(&self, what: &str, script: &str, limit: Duration) -> Result<Value> {
        let start = Instant::now();
        loop {
            let value = self.run(script)?;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return Ok(value);
            }
            if start.elapsed() > limit {
                return Err(fail(format!(
                    "{what} did not happen within {} s; the console says:\n{}",
                    limit.as_secs(),
                    self.console()
                )));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the page has written to its console.
    pub(crate) fn console(&self) -> String {
        if self.engine == Engine::Firefox {
            // geckodriver has no command for it; Firefox writes it out, among other things.
            let ours = |line: &String| ["console.", "JavaScript error"].iter().any(|start| line.starts_with(start));
            return self.driver.said().into_iter().filter(ours).collect::<Vec<_>>().join("\n");
        }
        let log = call("POST", &format!("{}/se/log", self.base), Some(&json!({"type": "browser"}))).unwrap_or_default();
        let lines = log.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A picture of the page: a PNG file in base64.
    pub(crate) fn screenshot(&self) -> Result<String> {
        let answer = call("GET", &format!("{}/screenshot", self.base), None)?;
        answer.as_str().map(str::to_owned).ok_or_else(|| fail("the driver gave no screenshot"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closes the browser; if that fails the driver's end does it.
        let _ = call("DELETE", &self.base, None);
    }
}

/// The port in the line in which a driver says where it listens.
fn port(engine: Engine, line: &str) -> Option<u16> {
    let before = match engine {
        // "ChromeDriver was started successfully on port 12345."
        Engine::Chromium => "successfully on port ",
        // "1700000000000\tgeckodriver\tINFO\tListening on 127.0.0.1:12345"
        Engine::Firefox => "Listening on 127.0.0.1:",
    };
    line.split(before).nth(1)?.trim().trim_end_matches('.').parse().ok()
}

/// One command: its value, or the driver's own words.
fn call(method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into();
    let response = match (method, body) {
        ("POST", Some(body)) => agent.post(url).send_json(body),
        ("DELETE", _) => agent.delete(url).call(),
        _ => agent.get(url).call(),
    };
    let mut response = response.map_err(|error| fail(format!("the browser's driver does not answer: {error}")))?;
    let status = response.status();
    let answer: Value = response.body_mut().with_config().limit(64 << 20).read_json()?;
    let value = answer["value"].clone();
    if status.is_success() {
        return Ok(value);
    }
    Err(fail(format!(
        "the browser's driver says: {}: {}",
        value["error"].as_str().unwrap_or("error"),
        value["message"].as_str().unwrap_or("")
    )))
}

/// The bytes of a text in base64.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>> {
    decode(text).ok_or_else(|| fail("what the driver sent is not in base64"))
}

/// RFC 4648, the standard alphabet, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        bits = bits << 6 | digit(byte)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Engine, decode, port};

    #[test]
    fn drivers_say_where_they_listen() {
        assert_eq!(port(Engine::Chromium, "ChromeDriver was started successfully on port 42111."), Some(42111));
        assert_eq!(port(Engine::Chromium, "Starting ChromeDriver 156.0.8078.79"), None);
        assert_eq!(port(Engine::Firefox, "1764039386\tgeckodriver\tINFO\tListening on 127.0.0.1:4444\n"), Some(4444));
    }

    #[test]
    fn base64_of_the_rfc() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode("+/8="), Some(vec![0xfb, 0xff]));
        assert_eq!(decode("!"), None);
    }
}
