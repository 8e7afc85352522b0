use futures::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use servers::{RabbitMq, RabbitMqCluster};

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_queue_keeps_a_confirmed_message_through_a_crash() {
    let mut server = RabbitMq::start().unwrap();
    let uri = server.virtual_host();
    declare(&open(&uri).await).await;
    // The broker keeps the names of new queues in memory for a moment; an orderly stop writes them.
    server.restart().unwrap();

    let channel = open(&uri).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let confirmation = channel
        .basic_publish("".into(), "letters".into(), BasicPublishOptions::default(), b"hello", properties)
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(matches!(confirmation, Confirmation::Ack(_)));

    server.kill();
    server.restart().unwrap();

    let channel = open(&uri).await;
    let options = BasicConsumeOptions::default();
    let mut letters = channel.basic_consume("letters".into(), "".into(), options, FieldTable::default()).await.unwrap();
    let letter = letters.next().await.unwrap().unwrap();
    assert_eq!(letter.data, b"hello");
    letter.ack(BasicAckOptions::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_virtual_hosts_do_not_see_each_others_queues() {
    let (one, other) = (RabbitMq::shared().virtual_host(), RabbitMq::shared().virtual_host());
    declare(&open(&one).await).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let refused = open(&other).await.queue_declare("letters".into(), passive, FieldTable::default()).await;
    assert!(refused.unwrap_err().to_string().contains("NOT_FOUND"));
}

async fn open(uri: &str) -> Channel {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await.unwrap();
    connection.create_channel().await.unwrap()
}

async fn declare(channel: &Channel) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare("letters".into(), options, arguments).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_a_confirmed_message_when_the_node_dies_that_took_it() {
    let mut cluster = RabbitMqCluster::start(3).unwrap();
    let uri = cluster.virtual_host(2);
    let channel = open(&uri).await;
    declare(&channel).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let publish =
        channel.basic_publish("".into(), "letters".into(), BasicPublishOptions::default(), b"hello", properties);
    assert!(matches!(publish.await.unwrap().await.unwrap(), Confirmation::Ack(_)));

    cluster.kill(0);
    let channel = open(&uri).await;
    let options = BasicConsumeOptions::default();
    let mut letters = channel.basic_consume("letters".into(), "".into(), options, FieldTable::default()).await.unwrap();
    assert_eq!(letters.next().await.unwrap().unwrap().data, b"hello");
}
