//! `GET /media/{id}/content`: the bytes, whole or in part (RFC 9110, sections 13 to 15).

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header, response::Builder},
    response::Response,
};
use contract::{id::MediaId, problem::Problem};
use futures::stream;
use runtime::{
    extract::Path,
    identity::Identity,
    problem::{ApiError, ApiResult},
};

use super::error::NoSuchFile;
use crate::{
    entity_tag::EntityTag,
    file::File,
    filename::content_disposition,
    range::{Part, Selection, select},
    state::AppState,
};

/// Streams a file: 200, 206, 304 or 416. For its owner; the picture of an account for every user.
pub(super) async fn download(
    State(state): State<AppState>,
    identity: Identity,
    Path(id): Path<MediaId>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let file = state.files.any(id).await?.ok_or(NoSuchFile)?;
    if file.owner != identity.user_id && !(file.is_image() && state.avatars.is_picture_of(id, file.owner).await?) {
        return Err(NoSuchFile.into());
    }
    let tag = file.entity_tag();
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| tags.to_str().is_ok_and(|tags| tag.is_in(tags))) {
        return complete(described(&tag).status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    let size = file.content.size;
    match asked_for(&method, &headers, &tag, size) {
        Selection::Whole => {
            let answer = presented(&file).status(StatusCode::OK).header(header::CONTENT_LENGTH, size);
            let body = if method == Method::HEAD { Body::empty() } else { bytes(&state, &file, None).await? };
            complete(answer, body)
        }
        Selection::Part(part) => {
            let answer = presented(&file)
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_LENGTH, part.length())
                .header(header::CONTENT_RANGE, part.content_range(size));
            complete(answer, bytes(&state, &file, Some(part)).await?)
        }
        Selection::Unsatisfiable => Err(unsatisfiable(size)),
    }
}

/// `Range` counts for GET alone, and under `If-Range` only while the file is the one the client has the beginning of.
fn asked_for(method: &Method, headers: &HeaderMap, tag: &EntityTag, size: u64) -> Selection {
    let current = match headers.get(header::IF_RANGE) {
        Some(validator) => validator.to_str().is_ok_and(|validator| tag.is_exactly(validator)),
        None => true,
    };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    if method == Method::GET && current { select(range, size) } else { Selection::Whole }
}

/// What every answer about the content says. A file never changes under its id, but it may be deleted, so caches ask again.
fn described(tag: &EntityTag) -> Builder {
    Response::builder().header(header::ETAG, tag.to_string()).header(header::CACHE_CONTROL, "private, no-cache")
}

/// How the content is to be shown. It comes from people: a browser must neither guess its type nor run anything in it.
fn presented(file: &File) -> Builder {
    let content_type = &file.content.content_type;
    described(&file.entity_tag())
        .header(header::CONTENT_TYPE, content_type.header())
        .header(header::CONTENT_DISPOSITION, content_disposition(content_type.disposition(), &file.content.filename))
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
}

async fn bytes(state: &AppState, file: &File, part: Option<Part>) -> ApiResult<Body> {
    let source = state.objects.read(file.key.as_str(), part.map(Part::range)).await?;
    Ok(Body::from_stream(stream::try_unfold(source, |mut source| async move {
        Ok::<_, aws_sdk_s3::primitives::ByteStreamError>(source.try_next().await?.map(|bytes| (bytes, source)))
    })))
}

fn complete(answer: Builder, body: Body) -> ApiResult<Response> {
    answer.body(body).map_err(ApiError::internal)
}

fn unsatisfiable(size: u64) -> ApiError {
    let problem =
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", "The file has no such bytes")
            .detail(format!("The file has {size} bytes."));
    match format!("bytes */{size}").parse::<axum::http::HeaderValue>() {
        Ok(value) => ApiError::from(problem).header(header::CONTENT_RANGE, value),
        Err(impossible) => ApiError::internal(impossible),
    }
}
