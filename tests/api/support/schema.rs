//! The API's description, and whether answers fit it.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::site::{Answer, Site};

pub const OPENAPI: &str = "/arvados/v1/dispatch/openapi.json";

pub struct Description {
    document: Value,
}

impl Description {
    /// What a site says of itself.
    pub async fn of(site: &Site) -> Self {
        Self { document: site.get(OPENAPI).await.json() }
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.document["paths"].as_object().unwrap().keys().map(String::as_str)
    }

    /// The methods of a path.
    pub fn methods(&self, path: &str) -> impl Iterator<Item = &str> {
        self.document["paths"][path].as_object().unwrap().keys().map(String::as_str)
    }

    /// The answer to such a request is one that is described. What is answered to a method that there is not is described
    /// with the others.
    #[track_caller]
    pub fn check(&self, method: &str, path: &str, answer: &Answer) {
        let operations = &self.document["paths"][path];
        let operation = operations.get(method).or_else(|| operations.get("get").or(operations.get("post")));
        let status = answer.status.as_str();
        let response = operation.and_then(|it| it["responses"].get(status));
        let response =
            self.resolved(response.unwrap_or_else(|| panic!("{method} {path}: {status} is not described")));
        for (name, header) in response["headers"].as_object().unwrap() {
            let value = answer.header(name);
            assert!(!value.is_empty(), "{method} {path}: {status} without {name}");
            self.assert_fits(&header["schema"], &json!(value), name);
        }
        let Some(contents) = response["content"].as_object() else {
            assert_eq!(answer.body, "", "{method} {path}: {status}");
            return;
        };
        self.check_content(contents, answer, &format!("{method} {path}: {status}"));
    }

    #[track_caller]
    fn check_content(&self, contents: &Map<String, Value>, answer: &Answer, what: &str) {
        let content_type = answer.header("content-type").split(';').next().unwrap();
        let content =
            contents.get(content_type).unwrap_or_else(|| panic!("{what}: {content_type} is not described"));
        let body =
            if content_type == "application/json" { answer.json() } else { answer.body.as_str().into() };
        self.assert_fits(&content["schema"], &body, what);
    }

    /// It fits that schema of the document.
    #[track_caller]
    pub fn check_named(&self, schema: &str, value: &Value) {
        self.assert_fits(&json!({ "$ref": format!("#/components/schemas/{schema}") }), value, schema);
    }

    pub fn fits(&self, schema: &str, value: &Value) -> bool {
        self.validator(&json!({ "$ref": format!("#/components/schemas/{schema}") })).is_valid(value)
    }

    #[track_caller]
    fn assert_fits(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let faults: Vec<_> =
            validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect();
        assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
    }

    /// Of a schema that refers to others of the document.
    fn validator(&self, schema: &Value) -> Validator {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&whole).unwrap()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        self.document.pointer(reference.trim_start_matches('#')).unwrap()
    }
}
