use std::{fmt, time::Duration};

/// What the client's and the mail server's ledgers say of a trial.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was done to the platform.
    pub fault: String,
    /// How often.
    pub times: usize,
    /// What it bore meanwhile, such as `50/s`.
    pub load: String,
    /// Invitations that the client tried to make.
    pub attempted: usize,
    /// Those that it was told are made.
    pub acknowledged: usize,
    /// Calls that were not answered with success, and were repeated.
    pub repeated: usize,
    /// Those of the acknowledged whose mail arrived.
    pub delivered: usize,
    /// Those whose mail is in a terminal state that an operator sees.
    pub given_up: usize,
    /// Those of which neither is true.
    pub lost: usize,
    /// Those whose invitation does not show in the organisation service what became of the mail.
    pub untold: usize,
    /// Mails beyond the first of an invitation.
    pub duplicates: usize,
    /// How many duplicates the fault may cause: sends in flight when a mailer or its session ended.
    pub permitted: usize,
    /// How many mails the mail server refuses for good: so many are to be given up, and no other.
    pub refused: usize,
    /// The dead letters if a mail is missing, in words.
    pub set_aside: Vec<String>,
    /// Whether a mail that came more than once had another Message-ID.
    pub is_forged: bool,
    /// Whether something was on its way for longer than it was waited for.
    pub is_restless: bool,
    /// From the acknowledgement to the mail server, for half of the delivered at most.
    pub median: Duration,
    /// The same for 99 of 100.
    pub slowest: Duration,
    /// From the last fault until the last mail.
    pub drain: Duration,
}

impl Outcome {
    /// Whether nothing was lost, nothing came twice that need not, and what became of each is shown.
    pub fn is_right(&self) -> bool {
        self.acknowledged > 0
            && self.lost + self.untold == 0
            && self.given_up == self.refused
            && self.duplicates <= self.permitted
            && !self.is_forged
            && !self.is_restless
    }

    /// Fails unless it is right.
    ///
    /// # Panics
    ///
    /// Mail was lost, or came twice.
    pub fn expect_right(&self) {
        assert!(self.is_right(), "{}\n{self}\n{self:?}", Self::HEAD);
    }

    /// The table's head.
    pub const HEAD: &str = "\
| fault | times | load | attempted | acknowledged | repeated calls | delivered | given up | lost | \
untold | duplicates | permitted | median | 99 % | drain |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fault,
            times,
            load,
            attempted,
            acknowledged,
            repeated,
            delivered,
            given_up,
            lost,
            untold,
            duplicates,
            permitted,
            refused: _,
            set_aside: _,
            is_forged: _,
            is_restless: _,
            median,
            slowest,
            drain,
        } = self;
        let [median, slowest, drain] = [median, slowest, drain].map(Duration::as_secs_f64);
        write!(
            f,
            "| {fault} | {times} | {load} | {attempted} | {acknowledged} | {repeated} | \
             {delivered} | {given_up} | {lost} | {untold} | {duplicates} | {permitted} | {median:.2} s | \
             {slowest:.2} s | {drain:.1} s |"
        )
    }
}
