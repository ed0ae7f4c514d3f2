-- Agriturismo in collina: camere, ospiti, prenotazioni, servizi extra, recensioni.
CREATE TABLE camere (
  id_camera INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  tipo TEXT NOT NULL CHECK (tipo IN ('singola', 'doppia', 'tripla', 'familiare', 'appartamento')),
  posti_letto INTEGER NOT NULL,
  prezzo_notte REAL NOT NULL, -- euro
  piano INTEGER NOT NULL, -- 0 = piano terra
  vista TEXT -- 'giardino', 'uliveto', 'colline'; NULL se non indicata
);

CREATE TABLE ospiti (
  id_ospite INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  cognome TEXT NOT NULL,
  citta TEXT NOT NULL,
  nazione TEXT NOT NULL,
  telefono TEXT
);

CREATE TABLE prenotazioni (
  id_prenotazione INTEGER PRIMARY KEY,
  id_ospite INTEGER NOT NULL REFERENCES ospiti(id_ospite),
  id_camera INTEGER NOT NULL REFERENCES camere(id_camera),
  data_arrivo TEXT NOT NULL, -- AAAA-MM-GG
  data_partenza TEXT NOT NULL,
  adulti INTEGER NOT NULL,
  bambini INTEGER NOT NULL,
  stato TEXT NOT NULL CHECK (stato IN ('conclusa', 'confermata', 'annullata')),
  caparra REAL, -- euro; NULL se non versata
  canale TEXT NOT NULL CHECK (canale IN ('sito', 'telefono', 'agenzia'))
);

CREATE TABLE servizi (
  id_servizio INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  categoria TEXT NOT NULL CHECK (categoria IN ('ristorazione', 'escursione', 'benessere', 'corso', 'trasporto')),
  prezzo REAL NOT NULL, -- euro per unità
  durata_minuti INTEGER
);

CREATE TABLE servizi_prenotati (
  id_prenotazione INTEGER NOT NULL REFERENCES prenotazioni(id_prenotazione),
  id_servizio INTEGER NOT NULL REFERENCES servizi(id_servizio),
  data TEXT NOT NULL,
  quantita INTEGER NOT NULL,
  PRIMARY KEY (id_prenotazione, id_servizio, data)
);

CREATE TABLE recensioni (
  id_recensione INTEGER PRIMARY KEY,
  id_prenotazione INTEGER NOT NULL UNIQUE REFERENCES prenotazioni(id_prenotazione),
  voto INTEGER NOT NULL CHECK (voto BETWEEN 1 AND 10),
  data TEXT NOT NULL,
  testo TEXT
);

INSERT INTO camere (id_camera, nome, tipo, posti_letto, prezzo_notte, piano, vista) VALUES
  (1, 'Lavanda', 'doppia', 2, 85, 0, 'giardino'),
  (2, 'Rosmarino', 'doppia', 2, 85, 0, 'uliveto'),
  (3, 'Ginestra', 'tripla', 3, 110, 1, 'uliveto'),
  (4, 'Melograno', 'familiare', 4, 135, 1, 'colline'),
  (5, 'Tiglio', 'singola', 1, 55, 1, NULL),
  (6, 'Ulivo', 'appartamento', 5, 180, 0, 'uliveto'),
  (7, 'Fienile', 'appartamento', 6, 200, 0, 'colline'),
  (8, 'Alloro', 'doppia', 2, 95, 1, 'colline'),
  (9, 'Ciliegio', 'tripla', 3, 115, 0, 'giardino'),
  (10, 'Piccionaia', 'singola', 1, 60, 2, 'colline'),
  (11, 'Limonaia', 'doppia', 2, 95, 0, NULL),
  (12, 'L''Aia', 'familiare', 4, 140, 0, 'giardino');

INSERT INTO ospiti (id_ospite, nome, cognome, citta, nazione, telefono) VALUES
  (1, 'Elisabetta', 'Moro', 'Torino', 'Italia', '011 0101'),
  (2, 'Davide', 'Caputo', 'Napoli', 'Italia', NULL),
  (3, 'Noemi', 'D''Amico', 'L''Aquila', 'Italia', '0862 0103'),
  (4, 'Jürgen', 'Weiß', 'Monaco di Baviera', 'Germania', '+49 89 0104'),
  (5, 'Sophie', 'Lefèvre', 'Lione', 'Francia', '+33 4 0105'),
  (6, 'Andrea', 'Bianchi', 'Torino', 'Italia', NULL),
  (7, 'Andrea', 'Bianchi', 'Perugia', 'Italia', '075 0107'),
  (8, 'Mariasole', 'Locatelli', 'Bergamo', 'Italia', '035 0108'),
  (9, 'Pieter', 'de Vries', 'Utrecht', 'Paesi Bassi', '+31 30 0109'),
  (10, 'Katrin', 'Huber', 'Monaco di Baviera', 'Germania', NULL),
  (11, 'Tommaso', 'Nardò', 'Lecce', 'Italia', '0832 0111'),
  (12, 'Rosa', 'Quaranta', 'Bari', 'Italia', '080 0112'),
  (13, 'Emily', 'Carter', 'Bristol', 'Regno Unito', NULL),
  (14, 'Lorenzo', 'Dell''Orto', 'Milano', 'Italia', '02 0114'),
  (15, 'Elisabetta', 'Sala', 'Milano', 'Italia', '02 0115'),
  (16, 'Marc', 'Dubois', 'Lione', 'Francia', '+33 4 0116'),
  (17, 'Silvia', 'Cantù', 'Como', 'Italia', '031 0117'),
  (18, 'Ivo', 'Perathoner', 'Ortisei', 'Italia', NULL);

INSERT INTO prenotazioni (id_prenotazione, id_ospite, id_camera, data_arrivo, data_partenza, adulti, bambini, stato, caparra, canale) VALUES
  (1, 1, 1, '2023-04-22', '2023-04-25', 2, 0, 'conclusa', 80, 'sito'),
  (2, 2, 3, '2023-04-29', '2023-05-01', 2, 1, 'conclusa', NULL, 'telefono'),
  (3, 4, 6, '2023-06-10', '2023-06-17', 2, 2, 'conclusa', 300, 'agenzia'),
  (4, 5, 2, '2023-06-15', '2023-06-18', 2, 0, 'conclusa', 80, 'sito'),
  (5, 6, 4, '2023-06-23', '2023-06-25', 2, 2, 'annullata', NULL, 'telefono'),
  (6, 7, 8, '2023-07-01', '2023-07-08', 2, 0, 'conclusa', 150, 'sito'),
  (7, 9, 7, '2023-07-08', '2023-07-22', 4, 2, 'conclusa', 600, 'agenzia'),
  (8, 6, 1, '2023-07-14', '2023-07-16', 2, 0, 'conclusa', NULL, 'telefono'),
  (9, 10, 6, '2023-08-05', '2023-08-19', 3, 2, 'conclusa', 500, 'agenzia'),
  (10, 3, 9, '2023-08-12', '2023-08-16', 2, 1, 'conclusa', 100, 'sito'),
  (11, 11, 12, '2023-08-12', '2023-08-20', 2, 2, 'conclusa', 250, 'sito'),
  (12, 12, 4, '2023-08-14', '2023-08-17', 2, 1, 'conclusa', 100, 'telefono'),
  (13, 13, 8, '2023-09-02', '2023-09-09', 2, 0, 'conclusa', 150, 'sito'),
  (14, 17, 2, '2023-09-15', '2023-09-17', 2, 0, 'annullata', 50, 'sito'),
  (15, 14, 5, '2023-10-06', '2023-10-08', 1, 0, 'conclusa', NULL, 'telefono'),
  (16, 15, 10, '2023-10-06', '2023-10-08', 1, 0, 'conclusa', NULL, 'telefono'),
  (17, 1, 1, '2023-10-28', '2023-11-01', 2, 0, 'conclusa', 80, 'sito'),
  (18, 4, 7, '2023-12-27', '2024-01-03', 4, 1, 'conclusa', 500, 'agenzia'),
  (19, 7, 3, '2023-12-30', '2024-01-02', 2, 0, 'conclusa', 100, 'sito'),
  (20, 12, 9, '2024-03-29', '2024-04-01', 2, 1, 'conclusa', 100, 'telefono'),
  (21, 2, 2, '2024-03-30', '2024-04-02', 2, 0, 'annullata', NULL, 'sito'),
  (22, 1, 4, '2024-04-24', '2024-04-28', 2, 1, 'conclusa', 120, 'sito'),
  (23, 5, 1, '2024-05-09', '2024-05-12', 2, 0, 'conclusa', 80, 'sito'),
  (24, 9, 7, '2024-07-06', '2024-07-20', 4, 2, 'confermata', 600, 'agenzia'),
  (25, 10, 6, '2024-08-03', '2024-08-17', 2, 2, 'confermata', 500, 'agenzia'),
  (26, 3, 12, '2024-08-10', '2024-08-14', 2, 2, 'confermata', NULL, 'telefono'),
  (27, 11, 8, '2024-08-13', '2024-08-16', 2, 0, 'confermata', 100, 'sito'),
  (28, 13, 8, '2024-08-20', '2024-09-10', 1, 0, 'annullata', 150, 'agenzia');

INSERT INTO servizi (id_servizio, nome, categoria, prezzo, durata_minuti) VALUES
  (1, 'Cena degustazione', 'ristorazione', 35, 120),
  (2, 'Colazione in camera', 'ristorazione', 8, NULL),
  (3, 'Cesto da picnic', 'ristorazione', 22, NULL),
  (4, 'Passeggiata a cavallo', 'escursione', 40, 90),
  (5, 'Noleggio bicicletta', 'escursione', 15, NULL),
  (6, 'Raccolta delle olive', 'escursione', 12, 180),
  (7, 'Massaggio rilassante', 'benessere', 55, 50),
  (8, 'Bagno nella tinozza calda', 'benessere', 25, 60),
  (9, 'Corso di pasta fresca', 'corso', 48, 150),
  (10, 'Degustazione d''olio', 'corso', 18, 60),
  (11, 'Navetta dalla stazione', 'trasporto', 20, 30),
  (12, 'Caccia al tartufo', 'escursione', 55, 180);

INSERT INTO servizi_prenotati (id_prenotazione, id_servizio, data, quantita) VALUES
  (1, 1, '2023-04-22', 2),
  (1, 10, '2023-04-23', 2),
  (2, 5, '2023-04-30', 3),
  (3, 11, '2023-06-10', 1),
  (3, 9, '2023-06-12', 2),
  (3, 4, '2023-06-14', 4),
  (4, 11, '2023-06-15', 1),
  (4, 1, '2023-06-16', 2),
  (4, 7, '2023-06-17', 2),
  (6, 5, '2023-07-02', 2),
  (6, 3, '2023-07-02', 1),
  (6, 1, '2023-07-05', 2),
  (7, 4, '2023-07-11', 2),
  (7, 9, '2023-07-13', 4),
  (7, 1, '2023-07-15', 6),
  (7, 1, '2023-07-20', 6),
  (9, 8, '2023-08-08', 3),
  (9, 1, '2023-08-10', 5),
  (10, 2, '2023-08-13', 3),
  (11, 3, '2023-08-14', 1),
  (11, 5, '2023-08-15', 4),
  (13, 7, '2023-09-04', 1),
  (13, 10, '2023-09-05', 2),
  (13, 9, '2023-09-06', 2),
  (15, 11, '2023-10-06', 1),
  (17, 6, '2023-10-29', 2),
  (17, 1, '2023-10-29', 2),
  (18, 1, '2023-12-31', 5),
  (19, 8, '2024-01-01', 2),
  (23, 7, '2024-05-10', 2);

INSERT INTO recensioni (id_recensione, id_prenotazione, voto, data, testo) VALUES
  (1, 1, 9, '2023-04-27', 'Pace e silenzio, torneremo'),
  (2, 3, 8, '2023-06-20', NULL),
  (3, 4, 10, '2023-06-19', 'Cena squisita'),
  (4, 6, 7, '2023-07-10', 'Bello, ma c''era poca acqua calda'),
  (5, 7, 9, '2023-07-25', 'I bambini felici con i cavalli'),
  (6, 9, 6, '2023-08-22', 'Troppo caldo, manca l''aria condizionata'),
  (7, 10, 8, '2023-08-18', NULL),
  (8, 11, 9, '2023-08-23', 'Accoglienza calorosa'),
  (9, 13, 10, '2023-09-11', 'Perfetto'),
  (10, 15, 5, '2023-10-09', 'Camera piccola e rumorosa'),
  (11, 17, 10, '2023-11-02', 'La raccolta delle olive è un''esperienza unica'),
  (12, 18, 7, '2024-01-05', NULL),
  (13, 20, 8, '2024-04-03', 'Tutto pulito'),
  (14, 23, 9, '2024-05-14', NULL);
