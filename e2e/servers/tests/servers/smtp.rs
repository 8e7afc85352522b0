use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use servers::Smtp;

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_sent_can_be_read() {
    let server = Smtp::shared();
    let ada = format!("ada-{:x}@example.com", rand::random::<u64>());
    let mail = Message::builder()
        .from("chat@example.com".parse().unwrap())
        .to(ada.parse().unwrap())
        .subject("Grüße")
        .header(ContentType::TEXT_PLAIN)
        .body("Bis später".to_owned())
        .unwrap();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host()).port(server.port()).build();
    transport.send(mail).await.unwrap();

    let mails = server.wait_for(&ada, Duration::from_secs(10));
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_slice()), ("chat@example.com", &[ada][..]));
    assert_eq!((mails[0].subject.as_str(), mails[0].text.as_str()), ("Grüße", "Bis später"));
}
