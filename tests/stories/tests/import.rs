//! Thousands are invited from a file: `usher invitations import` against real servers, with every
//! service a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;
use stories::{Client, PASSWORD, Platform, Process};
use testkit::{SmtpSink, eventually};

const EMAIL: &str = "owner@example.com";

/// An operator with a folder of files.
struct Operator {
    platform: Platform,
    owner: Client,
    root: String,
}

/// A file that has been imported: exit code, result by line, the sums, and what was said beside it.
struct Imported {
    code: Option<i32>,
    results: Vec<Value>,
    sums: Value,
    told: String,
}

impl Operator {
    async fn new() -> Self {
        let platform = Platform::on_real_servers().await;
        let owner = platform.owner().await;
        let root = owner.create_organisation("ABC Holdings", None).await;
        Self { platform, owner, root }
    }

    fn sink(&self) -> &SmtpSink {
        self.platform.sink.as_ref().expect("a mail server")
    }

    fn start(&self, name: &str, verb: &str, more: &[&str]) -> Process {
        let [identity, organisation] = self.platform.places();
        let environment = [
            ("USHER_IDENTITY_URL", identity.as_str()),
            ("USHER_ORGANISATION_URL", &organisation),
            ("USHER_PASSWORD", PASSWORD),
        ];
        let verb = verb.split(' ');
        let who = ["--email", EMAIL, "--output", "json", "--organisation", &self.root];
        let arguments: Vec<_> = verb.chain(who).chain(more.iter().copied()).collect();
        Process::start(&self.platform.folder(), name, &arguments, &environment)
    }

    async fn import(&self, name: &str, more: &[&str]) -> Imported {
        let mut process = self.start(name, "invitations import people.csv", more);
        let code = process.exit().await.code();
        let (mut results, told) = (lines(&process), process.stderr());
        let sums = results.pop().map(|last| last["summary"].clone()).unwrap_or_default();
        Imported { code, results, sums, told }
    }

    /// The addresses that are invited, each as often as it is.
    async fn invited(&self, name: &str) -> Vec<String> {
        let mut process = self.start(name, "invitations list", &["--limit", "100000"]);
        assert!(process.exit().await.success(), "{}", process.stderr());
        let invited: Value = serde_json::from_str(&process.stdout()).expect("JSON");
        let mut emails: Vec<_> =
            invited.as_array().expect("invitations").iter().map(email).collect();
        emails.sort();
        emails
    }

    /// Waits until whoever is invited has a mail, and nobody has two.
    async fn expect_one_mail_each(&self, invited: &[String]) {
        // Behind all others.
        self.owner.invite(&self.root, "last@example.com", "user").await;
        eventually("the last mail", async || self.mails().get("last@example.com").copied()).await;
        eventually("everybody has a mail", async || {
            let mails = self.mails();
            invited.iter().all(|email| mails.contains_key(email)).then_some(())
        })
        .await;
        let mut mails = self.mails();
        assert_eq!(mails.remove("last@example.com"), Some(1));
        assert_eq!(mails, invited.iter().map(|email| (email.clone(), 1)).collect());
    }

    /// How many mails each address has.
    fn mails(&self) -> BTreeMap<String, u32> {
        let mut mails = BTreeMap::new();
        for mail in self.sink().mails() {
            *mails.entry(mail.recipient).or_default() += 1;
        }
        mails
    }
}

fn lines(process: &Process) -> Vec<Value> {
    let text = process.stdout();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn email(row: &Value) -> String {
    row["email"].as_str().expect("an address").to_owned()
}

fn outcome(row: &Value) -> &str {
    row["outcome"].as_str().expect("an outcome")
}

/// A file of people, some of whom cannot be invited: the whole text, and the addresses that can.
fn people(count: usize) -> (String, Vec<String>) {
    let mut text = "email,first_name,last_name,role,locale\n".to_owned();
    let mut good = BTreeSet::new();
    for number in 0..count {
        // Line 2 is the first; every hundredth role is none, and one person is there twice.
        let role = if number % 100 == 50 { "emperor" } else { "user" };
        let locale = if number % 3 == 0 { "de" } else { "" };
        let who = if number == 60 { 59 } else { number };
        let email = format!("person-{who}@example.com");
        writeln!(text, "{email},Ada,\"Nr, {number}\",{role},{locale}").expect("a text");
        if role == "user" {
            good.insert(email);
        }
    }
    (text, good.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_tried_imported_and_imported_again() {
    const ROWS: usize = 600;
    let operator = Operator::new().await;
    let (text, good) = people(ROWS);
    let refused = ROWS / 100;
    std::fs::write(operator.platform.folder().join("people.csv"), text).expect("a file");

    // A dry run tells what would be, and does nothing.
    let tried = operator.import("dry", &["--dry-run"]).await;
    assert_eq!((tried.code, tried.results.len()), (Some(1), ROWS), "{}", tried.told);
    assert_eq!(tried.sums["created"], ROWS - refused, "{}", tried.sums);
    assert_eq!(tried.sums["refused"], refused, "{}", tried.sums);
    assert_eq!(operator.invited("none").await, Vec::<String>::new());

    // Every row is told in its order, by its line; who is there twice is invited once.
    let first = operator.import("first", &["--results", "first.csv"]).await;
    assert_eq!(first.code, Some(1), "{}", first.told);
    assert!(first.told.contains("6 of 600 rows were refused"), "{}", first.told);
    assert_eq!(first.sums["created"], good.len(), "{}", first.sums);
    assert_eq!(first.sums["exists"], 1, "{}", first.sums);
    for (number, row) in first.results.iter().enumerate() {
        assert_eq!(row["line"], number + 2);
        let (expected, reason) = match number {
            _ if number % 100 == 50 => ("refused", "INVALID"),
            // Either of the two is the first.
            59 | 60 => (outcome(row), ""),
            _ => ("created", ""),
        };
        assert_eq!((outcome(row), &row["reason"]), (expected, &Value::from(reason)), "{row}");
    }
    let file = std::fs::read_to_string(operator.platform.folder().join("first.csv"));
    let file = file.expect("the results");
    assert_eq!(file.lines().count(), ROWS + 1);
    assert!(file.contains("\n52,person-50@example.com,refused,,INVALID,"), "{file}");
    assert_eq!(operator.invited("once").await, good);

    // Again, it does nothing more.
    let second = operator.import("second", &[]).await;
    assert_eq!(second.sums["created"], 0, "{}", second.sums);
    assert_eq!(second.sums["exists"], ROWS - refused, "{}", second.sums);
    assert_eq!(operator.invited("twice").await, good);
    operator.expect_one_mail_each(&good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_dies_is_run_again_and_everybody_is_invited_once() {
    const ROWS: usize = 600;
    let mut operator = Operator::new().await;
    let text = (0..ROWS).map(|number| format!("person-{number}@example.com\n"));
    let text = format!("email\n{}", text.collect::<String>());
    std::fs::write(operator.platform.folder().join("people.csv"), text).expect("a file");

    // The command dies in the middle.
    let mut killed = operator.start("killed", "invitations import people.csv", &[]);
    eventually("some rows are told", async || (!lines(&killed).is_empty()).then_some(())).await;
    killed.kill();
    let told = lines(&killed);
    assert!(told.len() < ROWS, "it was killed in the middle");

    // So does the service: the command says how far it came, and that it may be run again.
    let mut broken = operator.start("broken", "invitations import people.csv", &[]);
    eventually("it came further", async || {
        lines(&broken).iter().any(|row| outcome(row) == "created").then_some(())
    })
    .await;
    operator.platform.process("organisation").kill();
    assert_eq!(broken.exit().await.code(), Some(1));
    let why = broken.stderr();
    assert!(why.contains("rows were answered; it is safe to run it again"), "{why}");
    let created = |rows: &[Value]| rows.iter().filter(|row| row["outcome"] == "created").count();
    let before = created(&told) + created(&lines(&broken));
    operator.platform.process("organisation").start_again();
    operator.platform.wait_until_ready().await;

    let last = operator.import("last", &[]).await;
    assert_eq!((last.code, last.results.len()), (Some(0), ROWS), "{}", last.told);
    // What was made and not told any more exists.
    let made = last.sums["created"].as_u64().expect("a sum");
    assert!(made > 0 && made as usize <= ROWS - before, "{} after {before}", last.sums);
    let mut everybody: Vec<_> =
        (0..ROWS).map(|number| format!("person-{number}@example.com")).collect();
    everybody.sort();
    assert_eq!(operator.invited("all").await, everybody);
    operator.expect_one_mail_each(&everybody).await;
}
