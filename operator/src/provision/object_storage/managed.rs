//! The managed store: its bucket exists, and browsers may reach it from the platform's own pages.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use super::{Answer, Target};
use crate::provision::{Error, Server, State};

/// For how long a browser may remember what it was told, in seconds.
const REMEMBERED: i32 = 3600;

pub(super) async fn run(target: &Target, cors_origin: &str) -> Result<State, Error> {
    let client = target.client();
    let mut changes = Vec::new();
    bucket(&client, target, &mut changes).await?;
    cors(&client, target, cors_origin, &mut changes).await?;
    let message = format!("bucket {} is there, open to {cors_origin}", target.bucket);
    Ok(State { ready: true, message, changes, ..State::default() })
}

async fn bucket(client: &Client, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let bucket = &target.bucket;
    match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(()),
        Err(error) if Answer::of(&error).status == Some(404) => {
            match client.create_bucket().bucket(bucket).send().await {
                Ok(_) => changes.push(format!("created bucket {bucket}")),
                // Somebody was quicker; it is there, and that is what was wanted.
                Err(error)
                    if error.as_service_error().is_some_and(CreateBucketError::is_bucket_already_owned_by_you) => {}
                Err(error) => return Err(failed(target, &format!("create bucket {bucket}"), &error)),
            }
            Ok(())
        }
        Err(error) => Err(failed(target, &format!("find bucket {bucket}"), &error)),
    }
}

/// Direct upload and download by presigned URLs come from pages of another origin than the store's
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>).
async fn cors(client: &Client, target: &Target, origin: &str, changes: &mut Vec<String>) -> Result<(), Error> {
    let bucket = &target.bucket;
    let rule = CorsRule::builder()
        .allowed_origins(origin)
        .set_allowed_methods(Some(["GET", "HEAD", "PUT", "POST"].map(ToOwned::to_owned).to_vec()))
        .allowed_headers("*")
        .expose_headers("ETag")
        .max_age_seconds(REMEMBERED)
        .build()
        .map_err(|error| described(target, "describe its origins", &error))?;
    match client.get_bucket_cors().bucket(bucket).send().await {
        Ok(found) if found.cors_rules() == [rule.clone()] => return Ok(()),
        Ok(_) => {}
        Err(error) if error.code() == Some("NoSuchCORSConfiguration") => {}
        Err(error) => return Err(failed(target, "tell which origins it is open to", &error)),
    }
    let configuration = CorsConfiguration::builder()
        .cors_rules(rule)
        .build()
        .map_err(|error| described(target, "describe its origins", &error))?;
    let put = client.put_bucket_cors().bucket(bucket).cors_configuration(configuration).send().await;
    put.map_err(|error| failed(target, &format!("open bucket {bucket} to {origin}"), &error))?;
    changes.push(format!("opened bucket {bucket} to {origin}"));
    Ok(())
}

fn described(target: &Target, action: &str, error: &aws_sdk_s3::error::BuildError) -> Error {
    Error::Failed {
        server: Server::ObjectStorage,
        address: target.endpoint.clone(),
        action: action.to_owned(),
        cause: error.to_string(),
    }
}

fn failed<E>(target: &Target, action: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let (server, address) = (Server::ObjectStorage, target.endpoint.clone());
    let answer = Answer::of(error);
    match answer.status {
        Some(401 | 403) => {
            Error::AccessDenied { server, address, user: target.access_key_id.clone(), cause: answer.words }
        }
        Some(status) => Error::Failed {
            server,
            address,
            action: action.to_owned(),
            cause: format!("HTTP {status}: {}", answer.words),
        },
        None => Error::Unreachable { server, address, cause: answer.words },
    }
}
