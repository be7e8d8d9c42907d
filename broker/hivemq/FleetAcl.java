package dev.sealedge.hivemq;

import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.auth.parameter.TopicPermission;
import com.hivemq.extension.sdk.api.auth.parameter.TopicPermission.MqttActivity;
import com.hivemq.extension.sdk.api.client.parameter.ClientTlsInformation;
import com.hivemq.extension.sdk.api.packets.auth.DefaultAuthorizationBehaviour;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import com.hivemq.extension.sdk.api.services.builder.Builders;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;

/**
 * The ACL of a sealedge fleet on HiveMQ Community Edition, which has none of its own.
 *
 * <p>The account is the common name of the client's certificate, which HiveMQ has checked against the fleet's CA. What it may say and
 * hear stands in the file `acl` beside this extension: the one that sealedge writes for mosquitto. What no line allows is denied.
 */
public final class FleetAcl implements ExtensionMain, SimpleAuthenticator {

    private Path file = Path.of("acl");

    @Override
    public void extensionStart(final ExtensionStartInput input, final ExtensionStartOutput output) {
        file = input.getExtensionInformation().getExtensionHomeFolder().toPath().resolve("acl");
        if (!Files.isReadable(file)) {
            output.preventExtensionStartup("there is no file " + file);
            return;
        }
        Services.securityRegistry().setAuthenticatorProvider(ignored -> this);
    }

    @Override
    public void extensionStop(final ExtensionStopInput input, final ExtensionStopOutput output) {}

    /** The file is read at each connect, so that `sealedge enrol` needs no restart. */
    @Override
    public void onConnect(final SimpleAuthInput input, final SimpleAuthOutput output) {
        final Optional<String> account = input.getConnectionInformation()
                .getClientTlsInformation()
                .flatMap(ClientTlsInformation::getClientCertificate)
                .flatMap(FleetAcl::commonName);
        final List<TopicPermission> permissions;
        try {
            permissions = account.map(permissions(Files.readAllLines(file))::get).orElse(null);
        } catch (final IOException | IllegalArgumentException error) {
            output.failAuthentication("the ACL cannot be read");
            return;
        }
        if (permissions == null) {
            output.failAuthentication("no account of this fleet");
            return;
        }
        output.getDefaultPermissions().addAll(permissions);
        output.getDefaultPermissions().setDefaultBehaviour(DefaultAuthorizationBehaviour.DENY);
        output.authenticateSuccessfully();
    }

    private static Optional<String> commonName(final X509Certificate certificate) {
        try {
            final LdapName subject = new LdapName(certificate.getSubjectX500Principal().getName());
            return subject.getRdns().stream()
                    .filter(each -> each.getType().equalsIgnoreCase("CN"))
                    .map(Rdn::getValue)
                    .map(Object::toString)
                    .findFirst();
        } catch (final InvalidNameException error) {
            return Optional.empty();
        }
    }

    /** By account, of lines `user ACCOUNT` and `topic read|write FILTER`. */
    private static Map<String, List<TopicPermission>> permissions(final List<String> lines) {
        final Map<String, List<TopicPermission>> found = new HashMap<>();
        List<TopicPermission> current = new ArrayList<>();
        for (final String line : lines) {
            final String[] words = line.strip().split(" ", 3);
            if (words[0].equals("user") && words.length == 2) {
                current = found.computeIfAbsent(words[1], ignored -> new ArrayList<>());
            } else if (words[0].equals("topic") && words.length == 3) {
                current.add(permission(activity(words[1]), words[2]));
            } else if (!words[0].isEmpty() && !words[0].startsWith("#")) {
                throw new IllegalArgumentException("a line that this extension does not know");
            }
        }
        return found;
    }

    private static MqttActivity activity(final String word) {
        return switch (word) {
            case "read" -> MqttActivity.SUBSCRIBE;
            case "write" -> MqttActivity.PUBLISH;
            default -> throw new IllegalArgumentException("neither read nor write");
        };
    }

    private static TopicPermission permission(final MqttActivity activity, final String filter) {
        return Builders.topicPermission().topicFilter(filter).activity(activity).build();
    }
}
