//! Every way to say no, as `{"errors":["…"]}`.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use dispatch_core::pool::PoolRefusal;
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Errors {
    /// Why, for people: one or more texts.
    #[schema(min_items = 1)]
    errors: Vec<String>,
}

impl Errors {
    /// With one text.
    pub fn one(text: impl ToString) -> Self {
        Self { errors: vec![text.to_string()] }
    }
}

/// Why a request is not answered as it wishes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token was shown.
    #[error("authorization required")]
    Unauthorized,
    /// A wrong token was shown.
    #[error("authorization error")]
    Forbidden,
    /// No management token is configured.
    #[error("disabled: no ManagementToken is configured")]
    Disabled,
    /// The health checker asks, and no management token is configured.
    #[error("disabled: no ManagementToken is configured")]
    HealthDisabled,
    /// A parameter is needed.
    #[error("{0} parameter not provided")]
    MissingParameter(&'static str),
    /// A parameter makes no sense.
    #[error("{0} parameter is wrong: wanted is {1}")]
    BadParameter(&'static str, &'static str),
    /// A parameter is none of those that there are.
    #[error("unknown parameter; known are {}", .0.join(", "))]
    UnknownParameter(Vec<&'static str>),
    /// A parameter has two values.
    #[error("a parameter is given twice, with different values")]
    GivenTwice,
    /// The body could not be read.
    #[error("cannot read the request body: {0}")]
    UnreadableBody(String),
    /// The body is not what it says.
    #[error("the request body is no JSON object of single values, such as {{\"instance_id\": \"…\"}}")]
    NotAnObject,
    /// The body did not come in time.
    #[error("the request body did not arrive in time")]
    SlowBody,
    /// The body is larger than any form of ours.
    #[error("the request body is too large: at most {0} bytes are read")]
    TooLarge(usize),
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// There is no such path.
    #[error("page not found")]
    NoSuchPath,
    /// The path is there, for another method.
    #[error("this method is not allowed here; allowed: {}", .0.join(", "))]
    WrongMethod(&'static [&'static str]),
    /// An actor said no.
    #[error("{0}")]
    Refused(&'static str),
    /// Another dispatcher works on this cluster, or nobody can be asked whether one does.
    #[error("standby: this dispatcher does not hold the lock")]
    Standby,
    /// There is a bound.
    #[error("too many {0} at the same time; try again later")]
    TooMany(&'static str),
    /// An actor did not answer.
    #[error("{0} does not answer")]
    Silent(&'static str),
}

impl From<PoolRefusal> for Refusal {
    /// What Pool says, and how to ask otherwise.
    fn from(refusal: PoolRefusal) -> Self {
        match refusal {
            PoolRefusal::NoSuchInstance => Self::NotFound("instance"),
            PoolRefusal::NoSuchProcess => Self::NotFound("process of this container"),
            PoolRefusal::NoSuchType => Self::NotFound("instance type"),
            PoolRefusal::NoSuchPause => Self::NotFound("pause of this scope"),
            PoolRefusal::OnHold => Self::Refused("instance is on hold: force=1 drains it all the same"),
            PoolRefusal::AlreadyRunning | PoolRefusal::NotPlaceable | PoolRefusal::Worker(_) => {
                Self::Refused(refusal.as_str())
            }
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Disabled => StatusCode::FORBIDDEN,
            Self::MissingParameter(_)
            | Self::BadParameter(..)
            | Self::UnknownParameter(_)
            | Self::GivenTwice
            | Self::UnreadableBody(_)
            | Self::NotAnObject => StatusCode::BAD_REQUEST,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HealthDisabled | Self::NotFound(_) | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Standby | Self::Silent(_) | Self::TooMany(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::WrongMethod(allowed) => response.insert_header((ALLOW, allowed.join(", "))),
            Self::Unauthorized => response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            _ => &mut response,
        };
        response.json(Errors::one(self))
    }
}
