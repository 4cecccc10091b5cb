use kernel::MailDomain;
use lettre::message::{MultiPart, SinglePart, header::ContentType};
use testkit::{Reply, SmtpSink};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufStream, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::*;
use crate::mail::{DkimKey, dkim};

fn mail(to: &str) -> Message {
    Message::builder()
        .from("usher@platform.example".parse().unwrap())
        .to(to.parse().unwrap())
        .header(ContentType::TEXT_PLAIN)
        .body("hello\r\n".to_owned())
        .unwrap()
}

fn open(address: std::net::SocketAddr) -> Smtp {
    open_signing(&format!("smtp://{address}"), None)
}

fn open_signing(url: &str, dkim: Option<Arc<Dkim>>) -> Smtp {
    Smtp::open(&SmtpUrl::parse(url).unwrap(), None, dkim, 12, &Clock::System).unwrap()
}

fn open_certified(url: &str, ca: Option<Certificate>) -> Smtp {
    Smtp::open(&SmtpUrl::parse(url).unwrap(), ca, None, 12, &Clock::System).unwrap()
}

/// The sink behind TLS, from the first byte or after STARTTLS; certified for 127.0.0.1.
async fn encrypted(sink: &SmtpSink, has_starttls: bool) -> u16 {
    let chain = CertificateDer::from_pem_slice(include_bytes!("tests/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tests/server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, sink) = (listener.local_addr().unwrap().port(), sink.address());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut stream, mut behind) =
                (BufStream::new(stream), BufStream::new(TcpStream::connect(sink).await.unwrap()));
            if has_starttls {
                behind.read_line(&mut String::new()).await.unwrap();
                let said = ["220 mx.example", "250-mx.example\r\n250 STARTTLS", "220 go on"];
                for (number, line) in said.into_iter().enumerate() {
                    stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    if number < 2 {
                        stream.read_line(&mut String::new()).await.unwrap();
                    }
                }
            }
            // Who does not trust the certificate hangs up.
            if let Ok(mut stream) = tls.accept(stream).await {
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            }
        }
    });
    port
}

impl Smtp {
    async fn send(&self, mail: &Message) -> Result<(), MailError> {
        self.begin(mail).await?.offer().await?.hand_over().await
    }
}

/// A server that answers each command by its verb, the greeting by `CONN`, and the mail by `.`; what
/// has no line gets no answer, ever.
async fn server(lines: &'static [(&'static str, &'static str)]) -> Smtp {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut read = BufReader::new(read).lines();
                let mut heard = "CONN".to_owned();
                let mut is_mail = false;
                loop {
                    let verb = if is_mail { &heard } else { heard.get(..4).unwrap_or(&heard) };
                    let always = [("QUIT", "221 bye"), ("RSET", OK)];
                    let answer = lines.iter().chain(&always).find(|(asked, _)| *asked == verb);
                    if let (Some((_, line)), true) = (answer, !is_mail || heard == ".") {
                        write.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                        is_mail = line.starts_with("354");
                    }
                    let Ok(Some(line)) = read.next_line().await else { return };
                    heard = line;
                }
            });
        }
    });
    open(address)
}

const GREETED: (&str, &str) = ("CONN", "220 mx.example");
const KNOWN: (&str, &str) = ("EHLO", "250 mx.example");
const OK: &str = "250 ok";

/// The clock stands, and jumps to what is waited for when nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn each_answer_is_waited_for_as_long_as_the_rfc_says() {
    for (lines, to_what, minutes) in [
        (&[][..], "its greeting", 5),
        (&[GREETED], "its greeting", 5),
        (&[GREETED, KNOWN], "MAIL", 5),
        (&[GREETED, KNOWN, ("MAIL", OK)], "RCPT", 5),
        (&[GREETED, KNOWN, ("MAIL", OK), ("RCPT", OK)], "DATA", 2),
        (&[GREETED, KNOWN, ("MAIL", OK), ("RCPT", OK), ("DATA", "354 go on")], "the mail", 10),
    ] {
        let smtp = server(lines).await;
        let begun = Instant::now();
        let late = smtp.send(&mail("ada@example.com")).await.unwrap_err();
        assert!(matches!(late, MailError::Late(what) if what == to_what), "{late:?}");
        let waited = begun.elapsed();
        let least = Duration::from_secs(minutes * 60);
        assert!(
            (least..least + Duration::from_secs(240)).contains(&waited),
            "{to_what}: {waited:?}"
        );
        // Nothing goes over a connection that still owes an answer.
        assert!(lock(&smtp.kept).is_empty(), "{to_what}");
    }
}

#[tokio::test]
async fn a_late_answer_to_one_mail_is_none_to_the_next() {
    let sink = SmtpSink::start().await;
    let smtp = open(sink.address());
    sink.reply(&[Reply::Hold, Reply::Refuse]);
    let held = tokio::spawn({
        let smtp = smtp.clone();
        async move { smtp.send(&mail("ada@example.com")).await }
    });
    testkit::eventually("it is held", async || (sink.offered().len() == 1).then_some(())).await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    sink.release();
    let refused = smtp.send(&mail("eve@example.com")).await;
    assert!(matches!(refused, Err(MailError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn the_next_mail_takes_four_commands_whatever_was_said_to_the_last() {
    let sink = SmtpSink::start().await;
    let smtp = open(sink.address());
    sink.reply(&[Reply::Line("250 taken"), Reply::Delay, Reply::Refuse]);
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(match smtp.send(&mail("ada@example.com")).await {
            Ok(()) => None,
            Err(MailError::Delayed(reply) | MailError::Refused(reply)) => reply.code,
            Err(MailError::Late(_)) => Some(0),
        });
    }
    assert_eq!(outcomes, [None, Some(451), Some(550), None]);
    let verbs = sink.commands();
    let verbs: Vec<_> = verbs.iter().map(|line| &line[..4]).collect();
    let mail = ["MAIL", "RCPT", "DATA"];
    let expected = [&["EHLO"][..], &mail, &mail, &["RSET"], &mail, &["RSET"], &mail].concat();
    assert_eq!(verbs, expected);
}

#[tokio::test]
async fn as_many_connections_are_kept_as_mails_go_at_once() {
    let sink = SmtpSink::start().await;
    let smtp = open(sink.address());
    for wave in 1..=2 {
        sink.reply(&[Reply::Hold; 12]);
        let mut going = JoinSet::new();
        for _ in 0..12 {
            let smtp = smtp.clone();
            going.spawn(async move { smtp.send(&mail("ada@example.com")).await });
        }
        let held = async || (sink.offered().len() == 12 * wave).then_some(());
        testkit::eventually("they are held", held).await;
        sink.relent();
        assert!(going.join_all().await.iter().all(Result::is_ok));
    }
    let greetings = sink.commands().iter().filter(|line| line.starts_with("EHLO")).count();
    assert_eq!(greetings, 12);
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_is_replaced() {
    let sink = SmtpSink::start().await;
    let smtp = open(sink.address());
    smtp.send(&mail("ada@example.com")).await.unwrap();
    // The server closes it behind its next answer, and we do not look until the next mail.
    sink.reply(&[Reply::Reset]);
    let _ = smtp.send(&mail("ada@example.com")).await;
    smtp.send(&mail("eve@example.com")).await.unwrap();
    let address = sink.address();
    drop(sink);
    // Of those that are kept none is left when the server has gone and come back.
    let ended = server(&[GREETED, KNOWN, ("MAIL", "421 bye")]).await;
    let goes = ended.send(&mail("ada@example.com")).await;
    assert!(matches!(goes, Err(MailError::Delayed(_))), "{goes:?} {address}");
    assert!(lock(&ended.kept).is_empty());
}

#[tokio::test]
async fn no_mail_is_refused_for_good_because_the_server_does_not_let_us_in() {
    for lines in [
        &[("CONN", "554 not you")][..],
        &[GREETED, ("EHLO", "502 what?")],
        &[GREETED, KNOWN, ("MAIL", "530 5.7.0 must issue STARTTLS")],
    ] {
        let delayed = server(lines).await.send(&mail("ada@example.com")).await;
        assert!(matches!(delayed, Err(MailError::Delayed(_))), "{lines:?}: {delayed:?}");
    }
    // A server that cannot encrypt where it must, and one that knows no account.
    let sink = SmtpSink::start().await;
    for url in [
        format!("smtp://{}?tls=required", sink.address()),
        format!("smtp://ada:secret@{}", sink.address()),
    ] {
        let delayed = open_signing(&url, None).send(&mail("ada@example.com")).await;
        assert!(matches!(delayed, Err(MailError::Delayed(_))), "{url}: {delayed:?}");
    }
    assert!(
        sink.commands().iter().all(|line| line.starts_with("EHLO") || line.starts_with("QUIT"))
    );

    // What it says of the mail is final.
    for lines in [
        &[GREETED, KNOWN, ("MAIL", "552 too large")][..],
        &[GREETED, KNOWN, ("MAIL", OK), ("RCPT", "550 5.1.1 nobody")],
    ] {
        let refused = server(lines).await.send(&mail("ada@example.com")).await;
        assert!(matches!(refused, Err(MailError::Refused(_))), "{lines:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_mail_goes_out_encrypted_to_a_server_that_is_certified_and_to_no_other() {
    let ca = || Some(Certificate::from_pem(include_bytes!("tests/ca.pem")).unwrap());
    for (has_starttls, scheme, tls) in [
        (false, "smtps", ""),
        (true, "smtp", "?tls=required"),
        (true, "smtp", "?tls=opportunistic"),
    ] {
        let sink = SmtpSink::start().await;
        let port = encrypted(&sink, has_starttls).await;
        for (host, ca) in [("127.0.0.1", None), ("localhost", ca())] {
            let smtp = open_certified(&format!("{scheme}://{host}:{port}{tls}"), ca);
            let delayed = smtp.send(&mail("ada@example.com")).await;
            assert!(matches!(delayed, Err(MailError::Delayed(_))), "{scheme}{tls}: {delayed:?}");
        }
        assert_eq!(sink.commands(), [""; 0], "{scheme}{tls}");
        let smtp = open_certified(&format!("{scheme}://127.0.0.1:{port}{tls}"), ca());
        for _ in 0..2 {
            smtp.send(&mail("ada@example.com")).await.unwrap();
        }
        assert_eq!((sink.taken(), sink.commands().len()), (2, 7), "{scheme}{tls}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_nobody_uses_are_closed() {
    let sink = SmtpSink::start().await;
    let smtp = open(sink.address());
    smtp.send(&mail("ada@example.com")).await.unwrap();
    assert_eq!(lock(&smtp.kept).len(), 1);
    testkit::eventually("it is closed", async || lock(&smtp.kept).is_empty().then_some(())).await;
}

#[test]
fn a_dot_that_begins_a_line_does_not_end_the_mail() {
    for (mail, wire) in [
        ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
        (".a\r\n..b", "..a\r\n...b\r\n.\r\n"),
        ("a.\r\n\r\n", "a.\r\n\r\n.\r\n"),
        ("", "\r\n.\r\n"),
    ] {
        assert_eq!(Stuffed(mail.as_bytes()).to_string(), wire, "{mail:?}");
    }
}

#[tokio::test]
async fn a_receiver_verifies_the_signature_of_what_came_over_the_wire() {
    let sink = SmtpSink::start().await;
    let key = DkimKey::parse(include_str!("../dkim/tests/rsa-2048.pem")).unwrap();
    let domain = MailDomain::parse("platform.example").unwrap();
    let dkim = Arc::new(Dkim::new(key, "mails".to_owned(), domain));
    let smtp = open_signing(&format!("smtp://{}", sink.address()), Some(dkim.clone()));
    let part = |kind, text: &str| SinglePart::builder().header(kind).body(text.to_owned());
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, ".\r\nGr\u{fc}\u{df}e,  Ada \r\n\r\n"))
        .singlepart(part(ContentType::TEXT_HTML, "<p>Gr\u{fc}\u{df}e</p>\r\n"));
    let mail = Message::builder()
        .from("Usher <usher@platform.example>".parse().unwrap())
        .to("Ad\u{e4} Lovelace <ada@example.com>".parse().unwrap())
        .reply_to("help@abc.example".parse().unwrap())
        .subject("Grace Hopper l\u{e4}dt Sie ein: ".repeat(5))
        .multipart(parts)
        .unwrap();
    smtp.send(&mail).await.unwrap();
    let raw = String::from_utf8(sink.mails()[0].raw.clone()).unwrap();
    assert_eq!(dkim::tests::verify(&dkim, &raw), Ok(()));
    // A bit of the HTML.
    let changed = raw.replacen("PHA+", "PHA/", 1);
    assert_ne!(changed, raw);
    assert_eq!(dkim::tests::verify(&dkim, &changed), Err("another body"));
}
