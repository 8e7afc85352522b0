import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.UnaryOperator;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestHandler;
import org.opensearch.transport.Netty4Plugin;

/**
 * A node of OpenSearch that keeps everything in the folder it is given. Like the official image, it takes settings from the environment: a
 * variable whose name has a dot, such as discovery.type, is one. With OPENSEARCH_LOGIN=user:password it lets nobody else in.
 */
public final class Server extends Node {
    private Server(Path home, Settings settings) {
        super(
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "opensearch"),
            List.of(Netty4Plugin.class, Login.class),
            false
        );
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = Settings.builder().put("path.home", home);
        System.getenv().forEach((name, value) -> {
            if (name.matches("[a-z_]+([.][a-z_]+)+")) {
                settings.put(name, value);
            }
        });
        Server server = new Server(home, settings.build());
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                server.close();
            } catch (IOException error) {
                System.err.println("OpenSearch does not stop in order: " + error);
            }
            stopped.countDown();
        }));
        server.start();
        stopped.await();
    }

    /** Basic authentication (RFC 7617), in the place where the security plugin has its own. */
    public static final class Login extends Plugin implements ActionPlugin {
        @Override
        public UnaryOperator<RestHandler> getRestHandlerWrapper(ThreadContext context) {
            String login = System.getenv("OPENSEARCH_LOGIN");
            if (login == null) {
                return handler -> handler;
            }
            String wanted = "Basic " + Base64.getEncoder().encodeToString(login.getBytes(StandardCharsets.UTF_8));
            return handler -> (request, channel, client) -> {
                if (wanted.equals(request.header("Authorization"))) {
                    handler.handleRequest(request, channel, client);
                } else {
                    channel.sendResponse(new BytesRestResponse(RestStatus.UNAUTHORIZED, "Unauthorized"));
                }
            };
        }
    }
}
