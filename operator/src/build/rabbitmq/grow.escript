#!/usr/bin/env escript
%%! -hidden +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none
%% Gives every quorum queue a member on this node, once the node runs: queues that were declared before it joined, or before it lost its
%% data, have none. Does what `rabbitmq-queues grow NODE all` does; that command alone takes two seconds of a core at each start.

-define(EVERY, 1000).
-define(LONG, 120000).
%% A queue changes its members one at a time, and needs a majority of them for it.
-define(TRIES, 300).

main([]) ->
    Me = list_to_atom(os:getenv("RABBITMQ_NODENAME")),
    [Name, Host] = string:split(atom_to_list(Me), "@"),
    {ok, _} = net_kernel:start([list_to_atom(Name ++ "-grow@" ++ Host), longnames]),
    await_running(Me),
    grow(Me, ?TRIES).

%% For as long as it takes: the node may have to wait for others, and if it ends, so does this.
await_running(Me) ->
    case rpc:call(Me, rabbit, is_running, [], ?LONG) of
        true ->
            ok;
        _ ->
            timer:sleep(?EVERY),
            await_running(Me)
    end.

grow(Me, Tries) ->
    case rpc:call(Me, rabbit_quorum_queue, grow, [Me, <<".*">>, <<".*">>, all], ?LONG) of
        [] ->
            ok;
        Outcome when Tries =:= 0 ->
            io:format("grow: gave up; restart this pod to try again: ~0p~n", [Outcome]);
        Outcome ->
            io:format("grow: ~0p~n", [Outcome]),
            timer:sleep(?EVERY + rand:uniform(?EVERY)),
            grow(Me, Tries - 1)
    end.
