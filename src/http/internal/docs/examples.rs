//! Examples out of the configuration: the name of a provider is that of one which this service knows, so that trying it finds it.

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder};
use utoipa::openapi::{OpenApi, RefOr, Schema};

/// The name of parameters and fields that hold a provider's name.
const PROVIDER: &str = "provider";

/// Gives every parameter and field that is a provider's name this one as its example, unless it has another.
pub fn name_provider(api: &mut OpenApi, name: &str) {
    let example = Value::from(name);
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put].into_iter().flatten();
        for parameter in operations.flat_map(|it| it.parameters.iter_mut().flatten()) {
            if let RefOr::T(it) = parameter {
                exemplify(it, &example);
            }
        }
    }
    for schema in api.components.iter_mut().flat_map(|it| it.schemas.values_mut()) {
        if let RefOr::T(Schema::Object(object)) = schema
            && let Some(RefOr::T(Schema::Object(field))) = object.properties.get_mut(PROVIDER)
        {
            field.example.get_or_insert_with(|| example.clone());
        }
    }
}

fn exemplify(parameter: &mut Parameter, example: &Value) {
    let has_example = serde_json::to_value(&*parameter).is_ok_and(|it| it.get("example").is_some());
    if parameter.name == PROVIDER && !has_example {
        let builder = ParameterBuilder::from(std::mem::take(parameter));
        *parameter = builder.example(Some(example.clone())).build();
    }
}
