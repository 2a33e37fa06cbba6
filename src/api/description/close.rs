//! Closes the schemas of types: what is serialised has the members that are described, and no others.
//!
//! Otherwise a member that is renamed would still fit its schema, if it need not be there.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Schema};

/// The same, without room for more. What says of itself that it has room keeps it.
pub(super) fn closed(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(mut schema) => {
            close(&mut schema);
            RefOr::T(schema)
        }
        RefOr::Ref(_) => schema,
    }
}

fn close(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            if !object.properties.is_empty() && object.additional_properties.is_none() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
            object.properties.values_mut().for_each(close_inner);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                close_inner(items);
            }
        }
        Schema::OneOf(one_of) => one_of.items.iter_mut().for_each(close_inner),
        Schema::AnyOf(any_of) => any_of.items.iter_mut().for_each(close_inner),
        // Its parts describe one object together: closed, each would forbid the others.
        _ => {}
    }
}

fn close_inner(schema: &mut RefOr<Schema>) {
    if let RefOr::T(schema) = schema {
        close(schema);
    }
}
