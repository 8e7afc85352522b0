//! A bucket that somebody else keeps: an object of ours is put, got, compared and deleted, which is all that the media service does there.
//! The bucket itself is neither made nor changed.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use super::{Answer, Target};
use crate::provision::{Error, Problem, Server, State, with_causes};

/// What the names of probe objects begin with, so that whoever finds one that was left knows what it is.
const PREFIX: &str = "chatplatform-probe/";
const FIELD: &str = "spec.objectStorage.external";

pub(super) async fn run(target: &Target) -> Result<State, Error> {
    let client = target.client();
    let key = format!("{PREFIX}{}", ulid::Ulid::generate());
    let sent: [u8; 64] = rand::random();
    let put = client.put_object().bucket(&target.bucket).key(&key).body(ByteStream::from(sent.to_vec())).send().await;
    put.map_err(|error| failed(target, "put an object into", &error))?;
    let got = get(&client, target, &key).await;
    // Whatever came back, nothing of ours stays.
    let deleted = client.delete_object().bucket(&target.bucket).key(&key).send().await;
    let got = got?;
    deleted.map_err(|error| failed(target, "delete an object from", &error))?;
    if got != sent {
        let fault = format!(
            "gave back {} bytes of bucket {} that are not the {} it took",
            got.len(),
            target.bucket,
            sent.len()
        );
        let remedy = "Files would be damaged likewise: ask who runs it, or use another store";
        return Err(theirs(target, Problem::Failed, fault, remedy.to_owned()));
    }
    let message = format!("puts, gets and deletes objects in bucket {} at {}", target.bucket, target.endpoint);
    Ok(State { ready: true, message, ..State::default() })
}

async fn get(client: &Client, target: &Target, key: &str) -> Result<Vec<u8>, Error> {
    let got = client.get_object().bucket(&target.bucket).key(key).send().await;
    let got = got.map_err(|error| failed(target, "get an object from", &error))?;
    let body = got.body.collect().await.map_err(|error| {
        let fault = format!("broke off an object of bucket {}: {}", target.bucket, with_causes(&error));
        theirs(target, Problem::Unreachable, fault, "It is tried again; ask who runs it if it lasts".to_owned())
    })?;
    Ok(body.to_vec())
}

fn failed<E>(target: &Target, action: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let answer = Answer::of(error);
    let (problem, remedy) = judge(target, &answer);
    let fault = match answer.status {
        None => format!("does not answer: {}", answer.words),
        Some(status) => format!("did not {action} bucket {}: HTTP {status}, {}", target.bucket, answer.words),
    };
    theirs(target, problem, fault, remedy)
}

/// What the problem is, and its cure, by the codes that S3 has
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>) and other stores took over.
fn judge(target: &Target, answer: &Answer) -> (Problem, String) {
    let bucket = &target.bucket;
    match (answer.status, answer.code.as_deref().unwrap_or_default()) {
        (None, _) => {
            let cure =
                format!("Correct {FIELD}.endpoint, or see that the store runs and that this cluster may reach it");
            (Problem::Unreachable, cure)
        }
        (_, "NoSuchBucket") => (Problem::Failed, format!("Make bucket {bucket} there, or correct {FIELD}.bucket")),
        (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect") | (Some(301 | 307), _) => {
            let cure = format!("The bucket is in another region: correct {FIELD}.region and {FIELD}.endpoint");
            (Problem::Failed, cure)
        }
        // The last is versitygw's own.
        (
            _,
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "XAdminUserNotFound",
        )
        | (Some(401), _) => {
            let cure = format!("Correct accessKeyId and secretAccessKey in the Secret of {FIELD}.credentialsSecretRef");
            (Problem::AccessDenied, cure)
        }
        (_, "RequestTimeTooSkewed") => {
            (Problem::AccessDenied, "Set the clocks of the cluster's nodes and of the store".to_owned())
        }
        (Some(403), _) => {
            let cure = format!("Allow account {} to put, get and delete objects there", target.access_key_id);
            (Problem::AccessDenied, cure)
        }
        _ => (Problem::Failed, "It is tried again; ask who runs it if it lasts".to_owned()),
    }
}

fn theirs(target: &Target, problem: Problem, fault: String, remedy: String) -> Error {
    Error::Theirs { server: Server::ObjectStorage, address: target.endpoint.clone(), problem, fault, remedy }
}
