#!/usr/bin/env escript
%%! -hidden +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none
%% What a node with an empty data folder does: it joins the cluster that is there, or it is the one that makes it.
%%
%%   escript join.escript NODES PEERS
%%
%% NODES is the file with the names of all nodes, one a line, the same for all of them. PEERS is the file to write: configuration that
%% tells the server's own peer discovery (classic_config) whom to join; nobody, for the one that makes the cluster.
%%
%% While it waits it is a node of its own, `NAME-join@HOST`, by which the others see that this one's folder is empty.

-define(PATIENCE, 5000).
-define(LONG, 60000).

main([Nodes, Peers]) ->
    Me = begin_beside("join"),
    join(Me, Nodes, Peers, undefined).

join(Me, Nodes, Peers, Before) ->
    All = read(Nodes),
    States = states(lists:delete(Me, All)),
    States =:= Before orelse say("~s has no data; the others: ~s", [Me, words(States)]),
    case decide(Me, All, States) of
        alone ->
            say("~s makes the cluster", [Me]),
            write(Peers, [Me]);
        {join, Running = [Peer | _]} ->
            case forgotten(Peer, Me) of
                true ->
                    say("~s joins ~s", [Me, Peer]),
                    write(Peers, [Me | Running]);
                false ->
                    again(Me, Nodes, Peers, States)
            end;
        wait ->
            again(Me, Nodes, Peers, States)
    end.

again(Me, Nodes, Peers, States) ->
    timer:sleep(500 + rand:uniform(500)),
    join(Me, Nodes, Peers, States).

%% A cluster is made by the first node of the list alone, and only when more than half of all nodes, itself included, are known to have
%% empty folders and nobody is known to have data: then no cluster has ever been, or what is left of it is no majority.
decide(Me, All, States) ->
    Of = fun(State) -> [Node || {Node, S} <- States, S =:= State] end,
    Empty = length(Of(empty)) + 1,
    case Of(running) of
        [] when Me =:= hd(All), 2 * Empty > length(All) ->
            case Of(starting) of
                [] -> alone;
                _ -> wait
            end;
        [] ->
            wait;
        Running ->
            {join, Running}
    end.

%% Asked all at once: one that does not answer takes its time.
states(Nodes) ->
    Asked = [{Node, spawn_monitor(fun() -> exit({is, state(Node)}) end)} || Node <- Nodes],
    [receive {'DOWN', Ref, process, _, {is, State}} -> {Node, State} end || {Node, {_, Ref}} <- Asked].

state(Node) ->
    case rpc:call(Node, rabbit, is_running, [], ?PATIENCE) of
        true ->
            running;
        {badrpc, nodedown} ->
            case net_adm:ping(beside(Node, "join")) of
                pong -> empty;
                pang -> away
            end;
        %% Also one that starts and does not know the answer yet, and one that is paused.
        _ ->
            starting
    end.

%% The cluster may still know this node from when it had data. Its places in quorum queues then have to be given up before it comes back
%% without them: a member that has forgotten what it confirmed would vote as if it had not. This is what `rabbitmqctl
%% forget_cluster_node` does, but for its last step, which that does not repeat where a queue just then had no leader.
forgotten(Peer, Me) ->
    case known(Peer, Me) andalso forget(Peer, Me) of
        false ->
            given_up(Peer, Me);
        ok ->
            say("~s has forgotten ~s", [Peer, Me]),
            given_up(Peer, Me);
        Refusal ->
            say("~s does not forget ~s yet: ~0p", [Peer, Me, Refusal]),
            false
    end.

known(Peer, Me) ->
    Members = rpc:call(Peer, rabbit_nodes, all, [], ?LONG),
    is_list(Members) andalso lists:member(Me, Members).

forget(Peer, Me) ->
    case rpc:call(Peer, rabbit_db_cluster, forget_member, [Me, false], ?LONG) of
        %% Before 3.12.
        {badrpc, {'EXIT', {undef, _}}} -> rpc:call(Peer, rabbit_mnesia, forget_cluster_node, [Me, false], ?LONG);
        Answer -> Answer
    end.

given_up(Peer, Me) ->
    case rpc:call(Peer, rabbit_quorum_queue, shrink_all, [Me], ?LONG) of
        Places when is_list(Places) ->
            %% A queue that had no other member is lost, and begins anew.
            Held = [{Queue, Why} || {Queue, {error, _, Why}} <- Places, Why =/= last_node],
            [say("~0p keeps its member on ~s for now: ~0p", [Queue, Me, Why]) || {Queue, Why} <- Held],
            Held =:= [];
        Refusal ->
            say("~s does not give up the places of ~s in quorum queues yet: ~0p", [Peer, Me, Refusal]),
            false
    end.

write(File, Nodes) ->
    Numbered = lists:zip(lists:seq(1, length(Nodes)), Nodes),
    Line = fun({N, Node}) -> io_lib:format("cluster_formation.classic_config.nodes.~b = ~s~n", [N, Node]) end,
    ok = file:write_file(File, lists:map(Line, Numbered)).

read(File) ->
    {ok, Text} = file:read_file(File),
    [binary_to_atom(Line, utf8) || Line <- string:lexemes(Text, "\n")].

words(States) ->
    lists:join(", ", [io_lib:format("~s is ~s", [Node, State]) || {Node, State} <- States]).

say(Format, Arguments) ->
    io:format("join: " ++ Format ++ "~n", Arguments).

%% Begins a node beside the server's own, on the port that the server's own will have. Answers the name of the latter.
begin_beside(Purpose) ->
    Me = list_to_atom(os:getenv("RABBITMQ_NODENAME")),
    case os:getenv("RABBITMQ_DIST_PORT") of
        false ->
            ok;
        Port ->
            application:set_env(kernel, inet_dist_listen_min, list_to_integer(Port)),
            application:set_env(kernel, inet_dist_listen_max, list_to_integer(Port))
    end,
    {ok, _} = net_kernel:start([beside(Me, Purpose), longnames]),
    Me.

beside(Node, Purpose) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    list_to_atom(Name ++ "-" ++ Purpose ++ "@" ++ Host).
