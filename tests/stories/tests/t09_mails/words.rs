//! What is typed.

/// What is typed. At most 80 characters each: it stands twice in a name, and in two names that are one.
pub(crate) const ATTACKS: [&str; 12] = [
    "<img src=x onerror=alert(1)>",
    "<a href=https://evil.example>click</a>",
    "</title></p></td><script src=//evil.example></script><!--",
    "\" onclick='alert(1)' style=\"x",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "](https://evil.example) [click][x] <https://evil.example>",
    "https://evil.example www.evil.example",
    "**bold** __bold__ *it* _it_ `code` ~~x~~ \\",
    "# 1. > - + --- ``` <eve@evil.example>, \"Eve\" <eve@evil.example>;",
    "{{ link }} {% for x in roles %}{{ x }}{% endfor %} {# x #} {% raw %}",
    "&lt;b&gt; &#60;b&#62; &copy; %0d%0aBcc:eve@evil.example \\r\\n",
    "„Zo\u{eb}“ <b>\u{1f44b}</b> (c) =3Cb=3E",
];

/// What somebody types on one line, as far as mails know it, and a few fields that they might know.
pub(crate) const LINES: [&str; 12] = [
    "organisationname",
    "sendername",
    "givenname",
    "invitername",
    "firstname",
    "lastname",
    "institution",
    "sourceid",
    "rolename",
    "applicationname",
    "requestername",
    "bobsname",
];

/// What somebody types on several lines.
pub(crate) const NOTES: [&str; 6] =
    ["welcome", "message", "changedmessage", "reason", "rejection", "approval"];

/// The words of one telling.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// Tells this telling's words from those of the others.
    pub(crate) tag: char,
    /// Empty in the first telling, which the others are compared with.
    pub(crate) attack: &'static str,
}

impl Words {
    /// The first telling's, and those of one telling for each attack.
    pub(crate) fn of(attacks: &[&'static str]) -> Vec<Self> {
        let attacks = std::iter::once("").chain(attacks.iter().copied());
        ('a'..='z').zip(attacks).map(|(tag, attack)| Self { tag, attack }).collect()
    }

    /// The part of a field's words that no attack is in.
    pub(crate) fn mark(&self, field: &str) -> String {
        format!("{field}{}", self.tag)
    }

    /// What is typed into a field of one line: an attack at both ends, where Markdown looks.
    pub(crate) fn line(&self, field: &str) -> String {
        let (mark, attack) = (self.mark(field), self.attack);
        match field {
            // Two names that are put together, with an attack at either end of what comes out.
            "firstname" => format!("{attack} {mark}").trim().to_owned(),
            "lastname" => format!("{mark} {attack}").trim().to_owned(),
            _ => format!("{attack} {mark} {attack}").trim().to_owned(),
        }
    }

    /// What is typed into a field of several lines: also what would begin a header, end the mail and
    /// begin another one.
    fn lines(&self, field: &str) -> Vec<String> {
        let smuggled = match self.attack {
            "" => ["plain", "plain"],
            _ => ["Bcc: eve@evil.example", "RCPT TO:<eve@evil.example>"],
        };
        let [header, command] = smuggled;
        vec![
            self.line(&format!("{field}-one-")),
            String::new(),
            format!("{header} {}", self.mark(&format!("{field}-two-"))),
            ".".to_owned(),
            format!("{command} {}", self.mark(&format!("{field}-three-"))),
            self.line(&format!("{field}-four-")),
        ]
    }

    /// Those lines as a browser's form sends them.
    pub(crate) fn note(&self, field: &str) -> String {
        self.lines(field).join("\r\n")
    }

    /// A mail address of this telling. What may stand before the `@` is more than letters.
    pub(crate) fn address(&self, name: &str, domain: &str) -> String {
        let odd = if self.attack.is_empty() { "" } else { "{{link}}**'`|_&" };
        format!("{odd}{name}-{}@{domain}", self.tag)
    }

    /// A text with a name in the place of each field's words.
    pub(crate) fn named(&self, text: &str) -> String {
        let lines = LINES.iter().map(|field| (self.line(field), format!("‹{field}›")));
        let notes = NOTES.iter().flat_map(|field| {
            let lines = self.lines(field).into_iter().enumerate();
            lines
                .filter(|(_, line)| line.len() > 1)
                .map(|(index, line)| (line, place(field, index)))
        });
        let mut known: Vec<_> = lines.chain(notes).collect();
        known.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        known.iter().fold(text.to_owned(), |text, (words, name)| text.replace(words, name))
    }
}

pub(crate) fn place(field: &str, index: usize) -> String {
    // In words: digits are left out when mails are compared.
    let letter = char::from(b'a' + u8::try_from(index).expect("a few lines"));
    format!("‹{field} {letter}›")
}
