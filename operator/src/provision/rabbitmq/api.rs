use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::provision::{Error, PATIENCE, Server, with_causes};
use crate::secrets::Login;

/// The management API (`RabbitMQ` manual, "HTTP API"), as one user.
#[derive(Clone)]
pub(super) struct Api {
    address: String,
    user: String,
    password: SecretString,
    client: Client,
}

impl Api {
    pub(super) fn new(address: &str, login: &Login) -> Result<Self, Error> {
        let client = Client::builder().no_proxy().connect_timeout(PATIENCE).timeout(PATIENCE).build();
        let client = client.map_err(|error| Error::Failed {
            server: Server::RabbitMq,
            address: address.to_owned(),
            action: "open an HTTP client".to_owned(),
            cause: with_causes(&error),
        })?;
        Ok(Self { address: address.to_owned(), user: login.user.clone(), password: login.password.clone(), client })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, action: &str, path: &str) -> Result<T, Error> {
        let response = self.answer(action, self.request(Method::GET, path)).await?;
        self.read(action, self.checked(action, response).await?).await
    }

    /// Whether anything is at the path.
    pub(super) async fn exists(&self, action: &str, path: &str) -> Result<bool, Error> {
        let response = self.answer(action, self.request(Method::GET, path)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.checked(action, response).await.map(|_| true)
    }

    /// The answer of a health check, which is 503 where the check fails.
    pub(super) async fn check<T: DeserializeOwned>(&self, action: &str, path: &str) -> Result<T, Error> {
        let response = self.answer(action, self.request(Method::GET, path)).await?;
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.read(action, response).await,
            _ => self.read(action, self.checked(action, response).await?).await,
        }
    }

    /// Whether somebody logs in. A user without the right to see anything here is told so, and not that it is unknown.
    pub(super) async fn accepts(&self, login: &Login) -> Result<bool, Error> {
        let other = Self { user: login.user.clone(), password: login.password.clone(), ..self.clone() };
        let response = other.answer("log in", other.request(Method::GET, "whoami")).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return other.checked("log in", response).await.map(|_| true);
        }
        let body = response.text().await.unwrap_or_default();
        Ok(body.contains("Not management user"))
    }

    pub(super) async fn put(&self, action: &str, path: &str, body: &Value) -> Result<(), Error> {
        let response = self.answer(action, self.request(Method::PUT, path).json(body)).await?;
        self.checked(action, response).await.map(drop)
    }

    pub(super) async fn delete(&self, action: &str, path: &str) -> Result<(), Error> {
        let response = self.answer(action, self.request(Method::DELETE, path)).await?;
        self.checked(action, response).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/{path}", self.address);
        self.client.request(method, url).basic_auth(&self.user, Some(self.password.expose_secret()))
    }

    async fn answer(&self, action: &str, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| {
            let cause = with_causes(&error.without_url());
            let (server, address) = (Server::RabbitMq, self.address.clone());
            if cause.contains("builder error") {
                Error::Failed { server, address, action: action.to_owned(), cause }
            } else {
                Error::Unreachable { server, address, cause }
            }
        })
    }

    async fn checked(&self, action: &str, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default();
        let cause = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|body| body.get("reason").and_then(Value::as_str).map(str::to_owned))
            .map_or_else(|| status.to_string(), |reason| format!("{status}, {reason}"));
        let (server, address) = (Server::RabbitMq, self.address.clone());
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Error::AccessDenied { server, address, user: self.user.clone(), cause }
            }
            _ => Error::Failed { server, address, action: action.to_owned(), cause },
        })
    }

    async fn read<T: DeserializeOwned>(&self, action: &str, response: Response) -> Result<T, Error> {
        response.json().await.map_err(|error| Error::Failed {
            server: Server::RabbitMq,
            address: self.address.clone(),
            action: action.to_owned(),
            cause: with_causes(&error.without_url()),
        })
    }
}
