use serde_json::{Value, json};

use crate::PASSWORD;

/// A caller of the REST surface.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; null if there is none.
    pub body: Value,
}

/// What a browser was told after a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The HTTP status.
    pub status: u16,
    /// Where to go.
    pub location: Option<String>,
    /// What to keep, as `name=value`.
    pub cookie: Option<String>,
    /// What is shown.
    pub page: String,
}

impl Answer {
    /// The body, if the status is this; a failure that shows the answer otherwise.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// A problem's reason.
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }
}

impl Client {
    /// Somebody who has not signed in.
    pub fn anonymous(base: &str) -> Self {
        Self { base: base.to_owned(), http: reqwest::Client::new(), token: None }
    }

    /// The same caller with a token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a client that has signed in")
    }

    /// Signs in, and answers a client with the token.
    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let tokens = self.try_sign_in(email, password).await.expect(201);
        self.with_token(tokens["access_token"].as_str().expect("an access token"))
    }

    /// Signs in, and answers what was answered.
    pub async fn try_sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/api/sessions", &json!({ "email": email, "password": password })).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(self.url(path))).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.http.patch(self.url(path)).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.http.delete(self.url(path))).await
    }

    /// POSTs text as JSON, whatever it is.
    pub async fn post_raw(&self, path: &str, body: &str) -> Answer {
        let request = self.http.post(self.url(path)).header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    /// Creates an organisation; its id.
    pub async fn create_organisation(&self, name: &str, parent: Option<&str>) -> String {
        let body = json!({ "display_name": name, "parent_id": parent });
        let created = self.post("/api/organisations", &body).await.expect(201);
        id_of(&created)
    }

    /// Invites; what was answered.
    pub async fn try_invite(&self, organisation: &str, email: &str, role: &str) -> Answer {
        let path = format!("/api/organisation-invitations?organisation_id={organisation}");
        let body = json!({ "organisation_id": organisation, "email": email, "role": role });
        self.post(&path, &body).await
    }

    /// Invites; the invitation's id.
    pub async fn invite(&self, organisation: &str, email: &str, role: &str) -> String {
        id_of(&self.try_invite(organisation, email, role).await.expect(201))
    }

    /// An invitation's state.
    pub async fn state_of(&self, invitation: &str) -> String {
        let found = self.get(&format!("/api/organisation-invitations/{invitation}")).await;
        found.expect(200)["status"].as_str().expect("a status").to_owned()
    }

    /// Changes an invitation's state.
    pub async fn set_state(&self, invitation: &str, state: &str) -> Answer {
        let path = format!("/api/organisation-invitations/{invitation}");
        self.patch(&path, &json!({ "status": state })).await
    }

    /// Opens a link as a browser does: status and page.
    pub async fn open(&self, link: &str) -> (u16, String) {
        let answer = self.http.get(link).header("accept", "text/html").send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a page"))
    }

    /// Submits the enrolment form of a link: status and page.
    pub async fn enrol(&self, link: &str, name: &str, password: &str) -> (u16, String) {
        let form = [("display_name", name), ("password", password), ("password_again", password)];
        self.submit(&format!("{link}/enrol"), &form).await
    }

    /// Submits a form: status and page.
    pub async fn submit(&self, url: &str, form: &[(&str, &str)]) -> (u16, String) {
        let answer = self.http.post(url).form(form).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a page"))
    }

    /// Submits the enrolment form of a link as a browser that shows each step: it follows nothing.
    pub async fn submit_form(&self, link: &str, name: &str) -> Submitted {
        let form = [("display_name", name), ("password", PASSWORD), ("password_again", PASSWORD)];
        self.submit_with_cookie(&format!("{link}/enrol"), &form, "").await
    }

    /// Signs in at the page; answers the browser's cookie.
    pub async fn sign_in_at_the_page(&self, email: &str, password: &str) -> String {
        let form = [("email", email), ("password", password)];
        let submitted = self.submit_with_cookie(&self.url("/sign-in"), &form, "").await;
        assert_eq!(submitted.status, 303, "{}", submitted.page);
        submitted.cookie.expect("a session")
    }

    /// Submits a form of ours, as a browser that follows nothing.
    pub async fn submit_with_cookie(
        &self,
        url: &str,
        form: &[(&str, &str)],
        cookie: &str,
    ) -> Submitted {
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let browser = browser.build().expect("a browser");
        let request = browser.post(url).form(&form).header("sec-fetch-site", "same-origin");
        let request = request.header("accept", "text/html").header("cookie", cookie);
        let answer = request.send().await.expect("an answer");
        let header = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().expect("a header of text").to_owned())
        };
        Submitted {
            status: answer.status().as_u16(),
            location: header("location"),
            cookie: header("set-cookie")
                .and_then(|cookie| Some(cookie.split(';').next()?.to_owned())),
            page: answer.text().await.expect("a page"),
        }
    }

    /// A page, with a cookie.
    pub async fn open_with_cookie(&self, path: &str, cookie: &str) -> String {
        let request = self.http.get(self.url(path)).header("cookie", cookie);
        let answer = request.header("accept", "text/html").send().await.expect("an answer");
        answer.text().await.expect("a page")
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}
