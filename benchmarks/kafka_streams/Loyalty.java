import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.YearMonth;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The loyalty fold of a team that takes Kafka Streams: facts in, one decision a fact out, exactly once.
 *
 * <p>An account is lots that expire a year on and a score a month, in RocksDB with a changelog. A line of 50 yuan or more
 * earns a bean for each 10 yuan, at most 1,000; a redemption takes from the oldest lots or is refused. Lots of one end
 * are one lot, so an account has at most 13. It has no rule book, no receipts (a fact that is sent twice counts twice),
 * no returns, cards or holds; nothing is chained, and nothing can be derived again once the topic is shorter.
 *
 * <p>Usage: {@code Loyalty BROKER APPLICATION TOPIC OUTPUT FACTS THREADS FOLDER}. Ends when so many facts are folded and
 * committed, and prints what they came to.
 */
public final class Loyalty {
    private static final int LEAST_FEN = 5_000;
    private static final int FEN_A_BEAN = 1_000;
    private static final int MOST_BEANS = 1_000;
    private static final int FEN_A_SCORE = 100;
    private static final String COMMIT_MS = "1000";
    private static final long CACHE = 64 << 20;

    private static final AtomicLong folded = new AtomicLong();
    private static final AtomicLong earned = new AtomicLong();
    private static final AtomicLong scored = new AtomicLong();
    private static final AtomicLong redeemed = new AtomicLong();
    private static final AtomicLong refused = new AtomicLong();
    private static volatile long firstAt;

    public static final class Line {
        public String line;
        public int paid_fen;
    }

    public static final class Data {
        public int points;
        public List<Line> lines;
    }

    public static final class Fact {
        public String id;
        public String type;
        public String subject;
        public String time;
        public Data data;
    }

    public static final class Lot {
        public String end;
        public int beans;

        public Lot() {}

        Lot(String end, int beans) {
            this.end = end;
            this.beans = beans;
        }
    }

    public static final class Account {
        public int entries;
        public List<Lot> lots = new ArrayList<>();
        public Map<String, Integer> score = new LinkedHashMap<>();

        int balance() {
            int sum = 0;
            for (Lot lot : lots) sum += lot.beans;
            return sum;
        }
    }

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public static final class Decision {
        public String fact;
        public String member;
        public String time;
        public String decision;
        public String month;
        public String expires;
        public int entry;
        public int balance;
        public Integer score;
        public Integer asked;
        public List<Object[]> lines;
        public List<Object[]> took;
    }

    private static final class Json<T> implements Serde<T>, Serializer<T>, Deserializer<T> {
        private final ObjectReader reader;
        private final ObjectWriter writer;

        Json(Class<T> type) {
            ObjectMapper mapper = new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
            reader = mapper.readerFor(type);
            writer = mapper.writerFor(type);
        }

        @Override
        public byte[] serialize(String topic, T value) {
            try {
                return value == null ? null : writer.writeValueAsBytes(value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        @Override
        public T deserialize(String topic, byte[] bytes) {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        @Override
        public Serializer<T> serializer() {
            return this;
        }

        @Override
        public Deserializer<T> deserializer() {
            return this;
        }

        @Override
        public void configure(Map<String, ?> configs, boolean isKey) {}

        @Override
        public void close() {}
    }

    private static final class Fold implements Processor<String, Fact, String, Decision> {
        private static final Map<String, String> ends = new ConcurrentHashMap<>();
        private ProcessorContext<String, Decision> context;
        private KeyValueStore<String, Account> accounts;

        @Override
        public void init(ProcessorContext<String, Decision> context) {
            this.context = context;
            accounts = context.getStateStore("accounts");
        }

        @Override
        public void process(Record<String, Fact> record) {
            if (firstAt == 0) firstAt = System.nanoTime();
            Fact fact = record.value();
            Account account = accounts.get(record.key());
            if (account == null) account = new Account();
            account.entries++;
            String day = fact.time.substring(0, 10);
            while (!account.lots.isEmpty() && account.lots.get(0).end.compareTo(day) < 0) account.lots.remove(0);
            Decision decision = new Decision();
            decision.fact = fact.id;
            decision.member = fact.subject;
            decision.time = fact.time;
            decision.entry = account.entries;
            switch (fact.type) {
                case "order.completed.v1" -> complete(fact, account, decision, day.substring(0, 7));
                case "redemption.requested.v1" -> redeem(fact, account, decision);
                default -> decision.decision = "noted";
            }
            decision.balance = account.balance();
            accounts.put(record.key(), account);
            context.forward(record.withValue(decision));
            folded.incrementAndGet();
        }

        private static void complete(Fact fact, Account account, Decision decision, String month) {
            int score = 0;
            int beans = 0;
            for (Line line : fact.data.lines) {
                score += line.paid_fen / FEN_A_SCORE;
                if (line.paid_fen < LEAST_FEN) continue;
                int points = Math.min(MOST_BEANS, line.paid_fen / FEN_A_BEAN);
                if (decision.lines == null) decision.lines = new ArrayList<>();
                decision.lines.add(new Object[] {line.line, points});
                beans += points;
            }
            account.score.merge(month, score, Integer::sum);
            scored.addAndGet(score);
            decision.month = month;
            decision.score = score;
            decision.decision = beans == 0 ? "scored" : "earned";
            if (beans == 0) return;
            String end = ends.computeIfAbsent(month, m -> YearMonth.parse(m).plusYears(1).atEndOfMonth().toString());
            Lot last = account.lots.isEmpty() ? null : account.lots.get(account.lots.size() - 1);
            if (last != null && last.end.equals(end)) last.beans += beans;
            else account.lots.add(new Lot(end, beans));
            decision.expires = end;
            earned.addAndGet(beans);
        }

        private static void redeem(Fact fact, Account account, Decision decision) {
            int need = fact.data.points;
            if (account.balance() < need) {
                decision.decision = "refused";
                decision.asked = need;
                refused.incrementAndGet();
                return;
            }
            decision.decision = "redeemed";
            decision.took = new ArrayList<>();
            redeemed.incrementAndGet();
            while (need > 0) {
                Lot lot = account.lots.get(0);
                int taken = Math.min(lot.beans, need);
                decision.took.add(new Object[] {lot.end, taken});
                lot.beans -= taken;
                need -= taken;
                if (lot.beans == 0) account.lots.remove(0);
            }
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        String output = arguments[3];
        long facts = Long.parseLong(arguments[4]);
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[5]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[6]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_MS);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "5000");
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 8 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);

        Topology topology = new Topology();
        topology.addSource("facts", Serdes.String().deserializer(), new Json<>(Fact.class), arguments[2]);
        topology.addProcessor("fold", Fold::new, "facts");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(
                    Stores.persistentKeyValueStore("accounts"), Serdes.String(), new Json<>(Account.class))
                .withLoggingEnabled(Map.of())
                .withCachingEnabled(),
            "fold");
        topology.addSink("decisions", output, Serdes.String().serializer(), new Json<>(Decision.class), "fold");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        streams.start();
        while (folded.get() < facts) Thread.sleep(5);
        streams.close(); // commits what is left
        System.out.printf(
            "{\"inside\":%.3f,\"earned\":%d,\"scored\":%d,\"redeemed\":%d,\"refused\":%d}%n",
            (System.nanoTime() - firstAt) / 1e9, earned.get(), scored.get(), redeemed.get(), refused.get());
    }
}
