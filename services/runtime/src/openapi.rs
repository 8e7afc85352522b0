//! Routes and their description in one place: what is served is what the `OpenAPI` 3.1 document says, because each operation is declared once, with
//! its handler, its bodies and its problems.

use std::collections::BTreeMap;

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, MethodRouter, on},
};
use contract::problem::Problem;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

pub mod refusals;

use refusals::Refusal;

use crate::idempotency;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may use an operation, as its description says it. The handler's extractors see to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who has an access token.
    LoggedIn,
}

/// One operation: a method of a path.
#[must_use = "an operation is nothing until it is routed"]
pub struct Operation<S> {
    method: &'static str,
    handler: MethodRouter<S>,
    summary: &'static str,
    access: Access,
    body: Option<Body>,
    query: Option<SchemaOf>,
    answers: Vec<(StatusCode, Content)>,
    problems: BTreeMap<u16, Vec<&'static str>>,
    heeds_keys: bool,
}

enum Body {
    Json {
        schema: SchemaOf,
        required: bool,
    },
    /// A form with one file in the field of this name.
    File(&'static str),
}

enum Content {
    Nothing,
    Json(SchemaOf),
    Bytes,
}

/// Routes with their description.
#[must_use = "routes are nothing until they are served"]
pub struct Api<S> {
    router: Router<S>,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: SchemaGenerator,
    tag: &'static str,
}

/// An operation of method GET; `summary` is a few words.
pub fn get<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    summary: &'static str,
    handler: H,
) -> Operation<S> {
    Operation::new("get", MethodFilter::GET, summary, handler)
}

/// An operation of method POST.
pub fn post<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    summary: &'static str,
    handler: H,
) -> Operation<S> {
    Operation::new("post", MethodFilter::POST, summary, handler)
}

/// An operation of method PUT.
pub fn put<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    summary: &'static str,
    handler: H,
) -> Operation<S> {
    Operation::new("put", MethodFilter::PUT, summary, handler)
}

/// An operation of method PATCH.
pub fn patch<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    summary: &'static str,
    handler: H,
) -> Operation<S> {
    Operation::new("patch", MethodFilter::PATCH, summary, handler)
}

/// An operation of method DELETE.
pub fn delete<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    summary: &'static str,
    handler: H,
) -> Operation<S> {
    Operation::new("delete", MethodFilter::DELETE, summary, handler)
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    fn new<H: Handler<T, S>, T: 'static>(
        method: &'static str,
        filter: MethodFilter,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self {
            method,
            handler: on(filter, handler),
            summary,
            access: Access::LoggedIn,
            body: None,
            query: None,
            answers: Vec::new(),
            problems: BTreeMap::new(),
            heeds_keys: false,
        }
    }

    /// Open to everybody; without this, to who has an access token.
    pub fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// With a JSON body.
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body::Json { schema: schema_of::<T>, required: true });
        self
    }

    /// With a JSON body that may be left out.
    pub fn optional_body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body::Json { schema: schema_of::<T>, required: false });
        self
    }

    /// With a form (`multipart/form-data`) whose field `name` is a file.
    pub fn file(mut self, name: &'static str) -> Self {
        self.body = Some(Body::File(name));
        self
    }

    /// With parameters in the query: the fields of a struct.
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema_of::<T>);
        self
    }

    /// Answered with JSON.
    pub fn answers<T: JsonSchema>(mut self, status: StatusCode) -> Self {
        self.answers.push((status, Content::Json(schema_of::<T>)));
        self
    }

    /// Answered without a body.
    pub fn answers_nothing(mut self, status: StatusCode) -> Self {
        self.answers.push((status, Content::Nothing));
        self
    }

    /// Answered with bytes of any type.
    pub fn answers_bytes(mut self, status: StatusCode) -> Self {
        self.answers.push((status, Content::Bytes));
        self
    }

    /// Sent again under the same `Idempotency-Key`, it has been done already, as the handler sees to.
    pub fn idempotency_key(mut self) -> Self {
        self.heeds_keys = true;
        self.problem(refusals::KEY_REUSED)
    }

    /// Sent again under the same `Idempotency-Key`, it is answered as the first time. The answer is kept as it is in the database that
    /// the router's [`Idempotency`](crate::idempotency::Idempotency) names, so it must hold no secrets and nothing that people write.
    pub fn answered_once(mut self) -> Self {
        self.handler = self.handler.route_layer(axum::middleware::from_fn(idempotency::answer_once));
        self.idempotency_key().problem(refusals::KEY_IN_USE)
    }

    /// Refused with problems of this status and these codes.
    pub fn problem(mut self, (status, codes): Refusal) -> Self {
        self.problems.entry(status.as_u16()).or_default().extend(codes);
        self
    }

    /// Refused in each of these ways.
    pub fn problems<const N: usize>(self, refusals: [Refusal; N]) -> Self {
        refusals.into_iter().fold(self, Self::problem)
    }
}

/// The route by which a service itself answers the document that describes it. The edge leads nobody there.
pub fn route<S: Clone + Send + Sync + 'static>(document: Value) -> Router<S> {
    Router::new().route("/openapi.json", axum::routing::get(async move || axum::Json(document.clone())))
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    /// No routes yet; `tag` groups the operations of one service.
    pub fn new(tag: &'static str) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { router: Router::new(), paths: BTreeMap::new(), schemas: settings.into_generator(), tag }
    }

    /// With the operations of a path; `{name}` in it is a parameter.
    pub fn route<const N: usize>(mut self, path: &str, operations: [Operation<S>; N]) -> Self {
        for operation in operations {
            let described = self.describe(path, &operation);
            self.paths.entry(path.to_owned()).or_default().insert(operation.method.to_owned(), described);
            self.router = self.router.route(path, operation.handler);
        }
        self
    }

    /// The routes, and the document that describes them; `title` is the service's.
    pub fn finish(mut self, title: &str, version: &str) -> (Router<S>, Value) {
        let problem = schema_of::<Problem>(&mut self.schemas);
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": version},
            "paths": self.paths,
            "components": {
                "schemas": self.schemas.take_definitions(true),
                "responses": {
                    "Problem": {
                        "description": "A problem (RFC 9457)",
                        "content": {contract::problem::CONTENT_TYPE: {"schema": problem}},
                    },
                },
                "securitySchemes": {"accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        });
        (self.router, document)
    }

    fn describe(&mut self, path: &str, operation: &Operation<S>) -> Value {
        let mut described = Map::new();
        described.insert("summary".to_owned(), operation.summary.into());
        described.insert("operationId".to_owned(), operation_id(operation.method, path).into());
        described.insert("tags".to_owned(), json!([self.tag]));
        let security = match operation.access {
            Access::Open => json!([]),
            Access::LoggedIn => json!([{"accessToken": []}]),
        };
        described.insert("security".to_owned(), security);
        let mut parameters = parameters(path, operation.query);
        parameters.extend(operation.heeds_keys.then(key_parameter));
        if !parameters.is_empty() {
            described.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(body) = &operation.body {
            described.insert("requestBody".to_owned(), self.request_body(body));
        }
        described.insert("responses".to_owned(), self.responses(operation).into());
        described.into()
    }

    fn request_body(&mut self, body: &Body) -> Value {
        match body {
            Body::Json { schema, required } => {
                let schema = schema(&mut self.schemas);
                json!({"required": required, "content": {"application/json": {"schema": schema}}})
            }
            Body::File(name) => {
                let file = json!({"type": "string", "contentMediaType": "application/octet-stream"});
                let schema = json!({"type": "object", "required": [name], "properties": {*name: file}});
                json!({"required": true, "content": {"multipart/form-data": {"schema": schema}}})
            }
        }
    }

    fn responses(&mut self, operation: &Operation<S>) -> Map<String, Value> {
        let mut responses = Map::new();
        for (status, content) in &operation.answers {
            let mut response = json!({"description": status.canonical_reason().unwrap_or_default()});
            match content {
                Content::Nothing => {}
                Content::Json(schema) => {
                    response["content"] = json!({"application/json": {"schema": schema(&mut self.schemas)}});
                }
                // In 3.1, bytes have no schema (OpenAPI 3.1.1, section 4.8.14.3).
                Content::Bytes => response["content"] = json!({"*/*": {}}),
            }
            responses.insert(status.as_str().to_owned(), response);
        }
        for (status, codes) in &operation.problems {
            let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
            let content =
                json!({contract::problem::CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}});
            responses.insert(
                status.to_string(),
                json!({"description": format!("A problem: {}", codes.join(", ")), "content": content}),
            );
        }
        responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
        responses
    }
}

/// What stands in the path, and the fields of the query.
fn parameters(path: &str, query: Option<SchemaOf>) -> Vec<Value> {
    let text = json!({"type": "string"});
    let named = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": text});
    let mut parameters: Vec<Value> =
        path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).map(named).collect();
    let Some(query) = query else { return parameters };
    // A generator of its own, since the struct itself is no schema of the document; what it refers to is inlined.
    let mut inline = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = query(&mut inline);
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    parameters.extend(fields.into_iter().map(|(name, schema)| {
        json!({"name": name, "in": "query", "required": required.contains(&name.as_str().into()), "schema": schema})
    }));
    parameters
}

/// The header that makes a request the same one, however often it is sent.
fn key_parameter() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Of the client's choice, for this request alone. Sent again within 24 hours, the request is not carried out again.",
        "schema": {"type": "string", "pattern": format!("^[!#-~]{{1,{}}}$", idempotency::LONGEST_KEY)},
    })
}

/// `post /auth/mfa/totp/{id}` is `post-auth-mfa-totp-id`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split('/').map(|segment| segment.trim_matches(['{', '}', '.'])).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is asked for")]
    struct Seed {
        plant: String,
        depth: Option<u32>,
    }

    async fn sow() -> StatusCode {
        StatusCode::NO_CONTENT
    }

    fn document() -> Value {
        Api::<()>::new("garden")
            .route(
                "/beds/{bed}/seeds",
                [
                    get("What grows", sow).query::<Seed>().open().answers::<Seed>(StatusCode::OK),
                    post("Sow", sow)
                        .body::<Seed>()
                        .answers_nothing(StatusCode::NO_CONTENT)
                        .answered_once()
                        .problem((StatusCode::CONFLICT, &["bed-full"])),
                ],
            )
            .finish("Garden", "1")
            .1
    }

    #[test]
    fn an_operation_says_who_may_with_what_and_how_it_is_answered() {
        let document = document();
        let sow = &document["paths"]["/beds/{bed}/seeds"]["post"];
        assert_eq!(sow["operationId"], "post-beds-bed-seeds");
        assert_eq!(sow["security"], json!([{"accessToken": []}]));
        assert_eq!(sow["parameters"][0]["name"], "bed");
        assert_eq!(
            sow["requestBody"]["content"]["application/json"]["schema"],
            json!({"$ref": "#/components/schemas/Seed"})
        );
        assert_eq!(sow["responses"]["204"], json!({"description": "No Content"}));
        assert_eq!(sow["responses"]["409"]["description"], "A problem: `idempotency-key-in-use`, `bed-full`");
        assert_eq!(sow["parameters"][1]["name"], "Idempotency-Key");
        assert_eq!(sow["responses"]["422"]["description"], "A problem: `idempotency-key-reused`");
        assert!(document["components"]["schemas"]["Seed"]["properties"]["plant"].is_object());
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }

    #[test]
    fn the_fields_of_a_query_are_parameters() {
        let document = document();
        let look = &document["paths"]["/beds/{bed}/seeds"]["get"];
        assert_eq!(look["security"], json!([]));
        let names: Vec<(&Value, &Value)> = look["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| (&parameter["name"], &parameter["required"]))
            .collect();
        let expected = [(json!("bed"), json!(true)), (json!("depth"), json!(false)), (json!("plant"), json!(true))];
        assert_eq!(names, expected.iter().map(|(name, required)| (name, required)).collect::<Vec<_>>());
    }
}
