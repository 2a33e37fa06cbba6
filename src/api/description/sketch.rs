//! How an operation is described: a sentence for each thing that can be said of it.
//!
//! ```text
//!   Sketch::new(tag, id, summary)
//!     .asks(&[…])                 parameters of the query
//!     .orders(&[…], &[…])         parameters of a body: those that are needed, and others; `orders_of_scope` for creates
//!     .answers::<T>(…)            200 with a type's JSON; lists, streams and texts have words of their own
//!     .refuses(&[404, …])         errors; those that every operation has come by themselves
//! ```

use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter as Described};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type,
};
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required};

use super::parameters::{MARKET, Parameter, TYPE};
use super::refusals;
use super::words::scalar;

/// What else an object may have.
type Rest = AdditionalProperties<Schema>;

/// Schemas by name.
pub(super) type Named = Vec<(String, RefOr<Schema>)>;

/// What is said of an operation.
pub(in crate::api) struct Sketch {
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    detail: Option<&'static str>,
    parameters: Vec<Described>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    refuses: Vec<u16>,
    schemas: Named,
}

impl Sketch {
    /// An operation that can be refused for what every operation can be refused for.
    pub fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            detail: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refuses: refusals::ALWAYS.to_vec(),
            schemas: Named::new(),
        }
    }

    /// More about it.
    pub fn detail(mut self, text: &'static str) -> Self {
        self.detail = Some(text);
        self
    }

    /// These may be in the query.
    pub fn asks(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend(parameters.iter().map(|it| it.in_query(false)));
        self
    }

    /// This one must be in the query.
    pub fn needs(mut self, parameter: &Parameter) -> Self {
        self.parameters.push(parameter.in_query(true));
        self
    }

    /// This one may be in the head of the request.
    pub fn reads_header(mut self, header: Described) -> Self {
        self.parameters.push(header);
        self
    }

    /// An order: these must be in its body, and the others may be.
    pub fn orders(self, needed: &[Parameter], others: &[Parameter]) -> Self {
        let rest = |types| Rest::RefOr(ObjectBuilder::new().schema_type(types).build().into());
        let form = members(needed, others, Parameter::in_form)
            .additional_properties(Some(rest(Type::String.into())));
        let json = members(needed, others, Parameter::in_json).additional_properties(Some(rest(scalar())));
        self.with_body(!needed.is_empty(), form.build().into(), json.build().into())
    }

    /// The same, and anything else is refused.
    pub fn orders_only(self, needed: &[Parameter], others: &[Parameter]) -> Self {
        let closed = |schema: fn(&Parameter) -> Schema| {
            let form = members(needed, others, schema).additional_properties(Some(Rest::FreeForm(false)));
            form.build().into()
        };
        self.with_body(!needed.is_empty(), closed(Parameter::in_form), closed(Parameter::in_json))
    }

    /// An order about the creates of that scope: all types, one type, or a market. Anything else is refused.
    pub fn orders_of_scope(self, needed: &[Parameter], others: &[Parameter]) -> Self {
        let scoped = |schema: fn(&Parameter) -> Schema| {
            let with = |scope: Parameter| {
                let others = [&[scope], others].concat();
                members(needed, &others, schema).additional_properties(Some(Rest::FreeForm(false)))
            };
            Schema::AnyOf(AnyOfBuilder::new().item(with(TYPE)).item(with(MARKET)).build())
        };
        self.with_body(!needed.is_empty(), scoped(Parameter::in_form), scoped(Parameter::in_json))
    }

    fn with_body(mut self, is_needed: bool, form: Schema, json: Schema) -> Self {
        let required = if is_needed { Required::True } else { Required::False };
        let body = RequestBodyBuilder::new()
            .description(Some("What is not in the body is looked for in the query."))
            .required(Some(required))
            .content("application/x-www-form-urlencoded", Content::new(Some(form)))
            .content("application/json", Content::new(Some(json)));
        self.body = Some(body.build());
        self.refuses(refusals::OF_BODIES)
    }

    /// 200 with that type as JSON.
    pub fn answers<T: ToSchema>(self, what: &'static str) -> Self {
        self.answers_as::<T>(200, what)
    }

    /// That status with that type as JSON.
    pub fn answers_as<T: ToSchema>(mut self, status: u16, what: &'static str) -> Self {
        let schema = self.named::<T>();
        self.with(status, what, &[("application/json", schema)])
    }

    /// 200 with `{"items": […]}` of that type.
    pub fn lists<T: ToSchema>(mut self, what: &'static str) -> Self {
        let items = ArrayBuilder::new().items(self.named::<T>());
        let list = ObjectBuilder::new().property("items", items).required("items");
        let list = list.additional_properties(Some(Rest::FreeForm(false))).build();
        self.with(200, what, &[("application/json", list.into())]).refuses(&[500])
    }

    /// 200 with contents that are not simply a type's JSON.
    pub fn answers_with(self, what: &'static str, contents: &[(&'static str, RefOr<Schema>)]) -> Self {
        self.with(200, what, contents)
    }

    /// 200 without a body.
    pub fn does(self, what: &'static str) -> Self {
        self.with(200, what, &[])
    }

    /// Errors that it may answer with.
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refuses.extend(statuses);
        self
    }

    /// A reference to that type, which is described among the others.
    pub fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        RefOr::Ref(Ref::from_schema_name(T::name()))
    }

    fn with(mut self, status: u16, what: &'static str, contents: &[(&'static str, RefOr<Schema>)]) -> Self {
        let mut response = ResponseBuilder::new().description(what);
        for (content_type, schema) in contents {
            response =
                response.content(*content_type, ContentBuilder::new().schema(Some(schema.clone())).build());
        }
        self.answers.push((status, refusals::with_request_id(response).build()));
        self
    }

    /// The operation as it is written down, and the types that it refers to. The answer to HEAD has no body.
    pub fn operation(mut self, method: &HttpMethod) -> (Operation, Named) {
        let is_head = *method == HttpMethod::Head;
        let (id, summary) = match is_head {
            true => (format!("{}_head", self.id), format!("{} Without the body.", self.summary)),
            false => (self.id.to_owned(), self.summary.to_owned()),
        };
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(id))
            .summary(Some(summary))
            .description(self.detail)
            .parameters((!self.parameters.is_empty()).then_some(self.parameters))
            .request_body(self.body);
        for (status, mut response) in self.answers {
            if is_head {
                response.content.clear();
            }
            operation = operation.response(status.to_string(), response);
        }
        self.refuses.sort_unstable();
        self.refuses.dedup();
        for status in self.refuses {
            operation = operation.response(status.to_string(), refusals::reference(status, is_head));
        }
        (operation.build(), self.schemas)
    }
}

/// The members of a form.
fn members(needed: &[Parameter], others: &[Parameter], schema: fn(&Parameter) -> Schema) -> ObjectBuilder {
    let mut form = ObjectBuilder::new().schema_type(Type::Object);
    for parameter in needed {
        form = form.property(parameter.name, schema(parameter)).required(parameter.name);
    }
    others.iter().fold(form, |form, it| form.property(it.name, schema(it)))
}
