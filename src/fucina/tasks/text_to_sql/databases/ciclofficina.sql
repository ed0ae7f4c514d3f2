-- Ciclofficina di quartiere: clienti, biciclette, meccanici, riparazioni, ricambi.
CREATE TABLE clienti (
  id_cliente INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  cognome TEXT NOT NULL,
  comune TEXT NOT NULL,
  telefono TEXT,
  data_registrazione TEXT NOT NULL, -- AAAA-MM-GG
  tessera INTEGER NOT NULL CHECK (tessera IN (0, 1)) -- 1 = ha la tessera fedeltà
);

CREATE TABLE biciclette (
  id_bici INTEGER PRIMARY KEY,
  id_cliente INTEGER NOT NULL REFERENCES clienti(id_cliente),
  marca TEXT NOT NULL,
  modello TEXT,
  tipo TEXT NOT NULL CHECK (tipo IN ('città', 'corsa', 'mountain bike', 'cargo', 'pieghevole', 'bambino')),
  colore TEXT NOT NULL,
  anno_acquisto INTEGER,
  elettrica INTEGER NOT NULL CHECK (elettrica IN (0, 1)) -- 1 = a pedalata assistita
);

CREATE TABLE meccanici (
  id_meccanico INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  cognome TEXT NOT NULL,
  specializzazione TEXT,
  data_assunzione TEXT NOT NULL,
  paga_oraria REAL NOT NULL, -- euro
  id_responsabile INTEGER REFERENCES meccanici(id_meccanico)
);

CREATE TABLE riparazioni (
  id_riparazione INTEGER PRIMARY KEY,
  id_bici INTEGER NOT NULL REFERENCES biciclette(id_bici),
  id_meccanico INTEGER REFERENCES meccanici(id_meccanico), -- NULL se da assegnare
  data_ingresso TEXT NOT NULL,
  data_consegna TEXT, -- NULL se non ancora consegnata
  descrizione TEXT NOT NULL,
  ore_lavoro REAL,
  costo_manodopera REAL, -- euro
  garanzia INTEGER NOT NULL CHECK (garanzia IN (0, 1))
);

CREATE TABLE ricambi (
  id_ricambio INTEGER PRIMARY KEY,
  nome TEXT NOT NULL,
  categoria TEXT NOT NULL CHECK (categoria IN ('ruote', 'freni', 'trasmissione', 'accessori', 'elettrico')),
  prezzo REAL NOT NULL, -- euro al pezzo
  giacenza INTEGER NOT NULL, -- pezzi in magazzino
  fornitore TEXT
);

CREATE TABLE ricambi_usati (
  id_riparazione INTEGER NOT NULL REFERENCES riparazioni(id_riparazione),
  id_ricambio INTEGER NOT NULL REFERENCES ricambi(id_ricambio),
  quantita INTEGER NOT NULL,
  PRIMARY KEY (id_riparazione, id_ricambio)
);

INSERT INTO clienti (id_cliente, nome, cognome, comune, telefono, data_registrazione, tessera) VALUES
  (1, 'Alessia', 'Pellegrini', 'Padova', '333 0101', '2021-03-02', 1),
  (2, 'Bruno', 'Zanella', 'Padova', NULL, '2021-03-15', 0),
  (3, 'Caterina', 'Dal Lago', 'Vigonza', '347 0103', '2021-05-09', 1),
  (4, 'Dario', 'Schiavon', 'Abano Terme', '340 0104', '2021-09-21', 0),
  (5, 'Elia', 'Favaretto', 'Padova', '328 0105', '2022-01-11', 1),
  (6, 'Francesca', 'Dall''Olio', 'Albignasego', NULL, '2022-02-28', 0),
  (7, 'Giosuè', 'Barbiero', 'Padova', '333 0107', '2022-04-04', 1),
  (8, 'Amina', 'Diallo', 'Padova', '351 0108', '2022-06-17', 1),
  (9, 'Loris', 'Fornasiero', 'Vigonza', '349 0109', '2022-10-05', 0),
  (10, 'Alessia', 'Pavan', 'Albignasego', '338 0110', '2023-01-19', 1),
  (11, 'Niccolò', 'Rampazzo', 'Padova', '320 0111', '2023-03-30', 0),
  (12, 'Olga', 'Munteanu', 'Selvazzano Dentro', NULL, '2023-05-12', 0),
  (13, 'Paolo', 'Schiavon', 'Abano Terme', '346 0113', '2023-07-01', 0),
  (14, 'Rita', 'Cesarò', 'Cadoneghe', '335 0114', '2023-11-08', 1),
  (15, 'Sandro', 'Trevisan', 'Padova', '329 0115', '2024-02-14', 0);

INSERT INTO biciclette (id_bici, id_cliente, marca, modello, tipo, colore, anno_acquisto, elettrica) VALUES
  (1, 1, 'Bianchi', 'Spillo', 'città', 'celeste', 2018, 0),
  (2, 1, 'Dahon', 'Mariner', 'pieghevole', 'rosso', 2022, 0),
  (3, 2, 'Atala', NULL, 'città', 'nero', NULL, 0),
  (4, 3, 'Trek', 'Marlin 7', 'mountain bike', 'blu', 2021, 0),
  (5, 3, 'Bottecchia', NULL, 'bambino', 'giallo', 2020, 0),
  (6, 4, 'Pinarello', 'Prince', 'corsa', 'bianco', 2019, 0),
  (7, 5, 'Babboe', 'Curve', 'cargo', 'verde', 2021, 1),
  (8, 5, 'Bianchi', 'Via Nirone 7', 'corsa', 'celeste', 2017, 0),
  (9, 6, 'Legnano', NULL, 'città', 'verde', NULL, 0),
  (10, 7, 'Cube', 'Reaction Hybrid', 'mountain bike', 'grigio', 2022, 1),
  (11, 8, 'Atala', 'Discovery', 'città', 'nero', 2020, 0),
  (12, 8, 'Brompton', 'C Line', 'pieghevole', 'grigio', 2021, 0),
  (13, 9, 'Wilier', 'GTR', 'corsa', 'rosso', 2020, 0),
  (14, 10, 'Riese & Müller', 'Load 60', 'cargo', 'grigio', 2023, 1),
  (15, 10, 'Bottecchia', NULL, 'bambino', 'rosso', 2022, 0),
  (16, 11, 'Atala', 'B-Easy', 'città', 'bianco', 2022, 1),
  (17, 12, 'Bianchi', NULL, 'città', 'nero', NULL, 0),
  (18, 13, 'Cinelli', 'Vigorelli', 'corsa', 'nero', 2019, 0),
  (19, 13, 'Trek', 'Fuel EX 8', 'mountain bike', 'arancione', 2023, 0),
  (20, 15, 'Cube', 'Touring Hybrid', 'città', 'blu', 2023, 1),
  (21, 7, 'Legnano', 'Condorino', 'città', 'nero', 2015, 0);

INSERT INTO meccanici (id_meccanico, nome, cognome, specializzazione, data_assunzione, paga_oraria, id_responsabile) VALUES
  (1, 'Vittorio', 'Zorzi', 'telai', '2012-04-02', 19.50, NULL),
  (2, 'Sara', 'Boscolo', 'ruote', '2015-09-14', 17.00, 1),
  (3, 'Ahmed', 'Karimi', 'motori elettrici', '2019-02-01', 17.50, 1),
  (4, 'Daniela', 'Nicolè', 'cambi', '2018-06-11', 16.50, 1),
  (5, 'Tobia', 'Ferro', 'freni', '2021-10-04', 14.00, 2),
  (6, 'Jessica', 'Lazzarin', 'motori elettrici', '2022-03-21', 14.50, 3),
  (7, 'Michele', 'Dell''Agnese', NULL, '2023-09-18', 11.00, 2),
  (8, 'Enrico', 'Sartori', 'cambi', '2020-01-13', 17.50, 4);

INSERT INTO riparazioni (id_riparazione, id_bici, id_meccanico, data_ingresso, data_consegna, descrizione, ore_lavoro, costo_manodopera, garanzia) VALUES
  (1, 1, 2, '2023-03-06', '2023-03-07', 'foratura posteriore', 0.5, 10, 0),
  (2, 6, 4, '2023-03-20', '2023-03-24', 'cambio che salta', 2.0, 45, 0),
  (3, 3, 5, '2023-04-03', '2023-04-04', 'freni consumati', 1.0, 20, 0),
  (4, 10, 3, '2023-04-17', '2023-05-02', 'batteria esausta', 1.5, 50, 0),
  (5, 4, 2, '2023-05-08', '2023-05-10', 'copertoni da sostituire', 1.0, 20, 0),
  (6, 7, 3, '2023-05-22', '2023-05-30', 'motore rumoroso', 3.0, 0, 1),
  (7, 9, 5, '2023-06-05', '2023-06-05', 'revisione generale', 1.5, 30, 0),
  (8, 13, 4, '2023-06-12', '2023-06-16', 'catena allungata', 1.0, 25, 0),
  (9, 8, 1, '2023-06-26', '2023-07-10', 'crepa nel telaio', 5.0, 160, 0),
  (10, 2, 2, '2023-07-03', '2023-07-04', 'foratura anteriore', 0.5, 10, 0),
  (11, 16, 6, '2023-07-17', '2023-07-21', 'display spento', 1.0, 0, 1),
  (12, 11, 5, '2023-08-28', '2023-08-29', 'freni consumati', 1.0, 20, 0),
  (13, 14, 6, '2023-09-11', '2023-09-15', 'motore rumoroso', 2.5, 80, 0),
  (14, 1, 4, '2023-09-18', '2023-09-20', 'cambio che salta', 1.5, 35, 0),
  (15, 17, 2, '2023-10-02', '2023-10-02', 'foratura posteriore', 0.5, 10, 0),
  (16, 5, 5, '2023-10-16', '2023-10-17', 'freni consumati', 0.5, 10, 0),
  (17, 18, 1, '2023-11-06', '2023-11-20', 'telaio piegato', 6.0, 190, 0),
  (18, 12, 8, '2023-11-13', '2023-11-15', 'cambio da regolare', 1.0, 25, 0),
  (19, 6, 8, '2023-12-04', '2023-12-07', 'catena allungata', 1.0, 25, 0),
  (20, 10, 6, '2024-01-15', '2024-01-19', 'revisione generale', 2.0, 60, 0),
  (21, 19, 2, '2024-01-22', '2024-01-24', 'ruota storta', 1.5, 30, 0),
  (22, 7, 3, '2024-02-05', '2024-02-14', 'batteria esausta', 1.5, 50, 0),
  (23, 3, 6, '2024-02-19', '2024-02-20', 'luci da montare', 0.5, 10, 0),
  (24, 13, 4, '2024-03-04', '2024-03-08', 'cambio che salta', 2.0, 45, 0),
  (25, 1, 2, '2024-03-11', NULL, 'foratura anteriore', NULL, NULL, 0),
  (26, 17, NULL, '2024-03-12', NULL, 'revisione generale', NULL, NULL, 0),
  (27, 14, NULL, '2024-03-13', NULL, 'freni rumorosi', NULL, NULL, 0),
  (28, 18, 1, '2024-03-14', NULL, 'verniciatura del telaio', NULL, NULL, 0);

INSERT INTO ricambi (id_ricambio, nome, categoria, prezzo, giacenza, fornitore) VALUES
  (1, 'Camera d''aria da 28', 'ruote', 6.50, 40, 'Velo Nord'),
  (2, 'Camera d''aria da 20', 'ruote', 5.50, 12, 'Velo Nord'),
  (3, 'Copertone da città', 'ruote', 18.00, 15, 'Velo Nord'),
  (4, 'Copertone da mountain bike', 'ruote', 29.90, 6, 'Gomma & C.'),
  (5, 'Pastiglie freno a disco', 'freni', 14.00, 22, 'Frenotec'),
  (6, 'Pattini freno', 'freni', 7.00, 35, 'Frenotec'),
  (7, 'Cavo freno', 'freni', 4.50, 50, NULL),
  (8, 'Catena a 8 velocità', 'trasmissione', 16.00, 9, 'Velo Nord'),
  (9, 'Catena a 11 velocità', 'trasmissione', 32.00, 0, 'Velo Nord'),
  (10, 'Pacco pignoni', 'trasmissione', 45.00, 4, 'Rapporti Srl'),
  (11, 'Deragliatore posteriore', 'trasmissione', 58.00, 2, 'Rapporti Srl'),
  (12, 'Luce anteriore a LED', 'accessori', 19.90, 18, NULL),
  (13, 'Campanello', 'accessori', 5.50, 27, NULL),
  (14, 'Batteria da 500 Wh', 'elettrico', 420.00, 1, 'E-Motion'),
  (15, 'Sensore di coppia', 'elettrico', 89.00, 0, 'E-Motion'),
  (16, 'Sella in cuoio', 'accessori', 75.00, 3, 'Gomma & C.');

INSERT INTO ricambi_usati (id_riparazione, id_ricambio, quantita) VALUES
  (1, 1, 1),
  (2, 9, 1),
  (2, 10, 1),
  (3, 6, 2),
  (3, 7, 2),
  (4, 14, 1),
  (5, 4, 2),
  (7, 3, 1),
  (7, 6, 1),
  (7, 7, 2),
  (7, 13, 1),
  (8, 9, 1),
  (10, 2, 1),
  (12, 6, 2),
  (12, 7, 1),
  (14, 8, 1),
  (14, 11, 1),
  (15, 1, 2),
  (16, 6, 1),
  (19, 9, 1),
  (20, 5, 2),
  (20, 13, 1),
  (21, 4, 1),
  (22, 14, 1),
  (23, 12, 1),
  (23, 13, 1),
  (24, 9, 1),
  (24, 11, 1),
  (25, 1, 1);
