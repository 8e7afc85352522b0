#!/usr/bin/env escript
%%! -hidden +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none
%% Before a node is told to stop: waits while a quorum queue would lose its quorum by that, then hands everything over.
%%
%% It does not wait for what cannot be: for a node alone, for one that does not run (it is paused, or waits for others), and where all who
%% run are about to stop themselves, as when the platform is deleted. A node says that it is about to stop by the maintenance status
%% that the server itself has, which is over when it starts again.

-define(PATIENCE, 5000).
-define(EVERY, 500).
%% Together less than the pod's grace, so that the server has time to stop in order.
-define(WAIT_SECONDS, 100).
-define(DRAIN, 20000).

main([]) ->
    Me = list_to_atom(os:getenv("RABBITMQ_NODENAME")),
    [Name, Host] = string:split(atom_to_list(Me), "@"),
    {ok, _} = net_kernel:start([list_to_atom(Name ++ "-leave@" ++ Host), longnames]),
    case rpc:call(Me, rabbit, is_running, [], ?PATIENCE) of
        true -> leave(Me);
        _ -> ok
    end.

leave(Me) ->
    rpc:call(Me, rabbit_maintenance, mark_as_being_drained, [], ?PATIENCE),
    case await_safe(Me, erlang:monotonic_time(second) + ?WAIT_SECONDS, silent) of
        true -> rpc:call(Me, rabbit_maintenance, drain, [], ?DRAIN);
        false -> ok
    end.

%% Answers whether there is anybody to hand over to.
await_safe(Me, Until, Said) ->
    Safe = rpc:call(Me, rabbit_upgrade_preparation, await_online_quorum_plus_one, [1], ?PATIENCE),
    Late = erlang:monotonic_time(second) >= Until,
    case rpc:call(Me, rabbit_maintenance, primary_replica_transfer_candidate_nodes, [], ?PATIENCE) of
        [_ | _] when Safe =:= true; Late ->
            io:format("leave: hands over to the others~n"),
            true;
        [_ | _] ->
            Said =:= silent andalso io:format("leave: waits, as a quorum queue would lose its quorum~n"),
            timer:sleep(?EVERY),
            await_safe(Me, Until, said);
        %% Nobody stays, or the node has stopped meanwhile.
        _ ->
            false
    end.
