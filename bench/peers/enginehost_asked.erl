%% The server of the peer "Erlang" in the suite reload. Its state is a count and a map of binaries, as with the other peers.
%% A change of code makes the map anew.
-module(enginehost_asked).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, code_change/3]).

init({Entries, Bytes}) ->
    {ok, {0, maps:from_list([{N, <<N:(Bytes * 8)>>} || N <- lists:seq(0, Entries - 1)])}}.

handle_info({ask, N, Sent, Client}, {Answers, Content}) ->
    Client ! {answer, N, Sent},
    {noreply, {Answers + 1, Content#{N rem max(map_size(Content), 1) => <<N:64>>}}}.

handle_call(_, _, State) -> {reply, ok, State}.

handle_cast(_, State) -> {noreply, State}.

code_change(_Version, {Answers, Content}, _) ->
    {ok, {Answers, maps:from_list([{N, <<Entry/binary>>} || {N, Entry} <- maps:to_list(Content)])}}.
