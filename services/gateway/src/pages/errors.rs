use kernel::Fields;

/// What is wrong with a form: a sentence for each wrong field.
#[derive(Default)]
pub(super) struct Errors(Fields);

impl Errors {
    pub fn add(&mut self, field: &str, sentence: impl std::fmt::Display) {
        self.0.reject(field, sentence);
    }

    pub fn is_empty(&self) -> bool {
        self.0.violations().is_empty()
    }

    /// All of them, as field and sentence, for the summary.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.violations().iter().map(|error| (error.field.as_str(), error.description.as_str()))
    }

    /// The first of one field, to stand beside it.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.all().find(|(wrong, _)| *wrong == field).map(|(_, sentence)| sentence)
    }
}

/// A wait in words, never shorter than it is.
pub(super) fn written(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_told_shorter_than_it_is() {
        let waits = [1, 2, 59, 60, 61, 3_600].map(written);
        let told = ["a second", "2 seconds", "59 seconds", "a minute", "2 minutes", "60 minutes"];
        assert_eq!(waits, told);
    }
}
